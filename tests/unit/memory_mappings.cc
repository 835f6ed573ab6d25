// What mappings are taken for, and which attachments of System V segments can be made again.
#include <boost/test/unit_test.hpp>

#include "runtime/memory/mappings.h"

namespace ck::memory {
namespace {

proc::Mapping mapping_of(const char* path) {
  proc::Mapping mapping;
  mapping.begin = 0x10000;
  mapping.end = 0x12000;
  mapping.shared = true;
  mapping.inode = 7;
  mapping.path = path;
  mapping.deleted = true;
  return mapping;
}

void attach(image::ProcessRecord& process, std::uint64_t begin, std::uint64_t end,
            std::uint64_t offset) {
  image::MappingRecord& mapping = *process.add_mappings();
  mapping.set_begin(begin);
  mapping.set_end(end);
  mapping.set_offset(offset);
  mapping.set_object(1);
}

image::Manifest manifest_with_segment(std::uint64_t size) {
  image::Manifest manifest;
  image::ObjectRecord& segment = *manifest.add_objects();
  segment.set_kind(image::ObjectRecord::SYSTEM_V);
  segment.set_size(size);
  return manifest;
}

BOOST_AUTO_TEST_SUITE(mappings)

BOOST_AUTO_TEST_CASE(kernel_objects_are_told_by_their_names) {
  BOOST_TEST((classify(mapping_of("/SYSV0000002a"), 0).kind == Class::kSystemV));
  BOOST_TEST((classify(mapping_of("/memfd:SYSV"), 0).kind == Class::kSharedMemory));
  BOOST_TEST((classify(mapping_of("anon_inode:[io_uring]"), 0).kind == Class::kIoUring));
  const Classified asynchronous = classify(mapping_of("/[aio]"), 0);
  BOOST_TEST((asynchronous.kind == Class::kUnsupported));
  BOOST_TEST(asynchronous.reason.find("asynchronous") != std::string::npos);
  proc::Mapping file = mapping_of("/SYSV0000002a");
  file.deleted = false;
  BOOST_TEST((classify(file, 0).kind == Class::kSharedFile));
}

BOOST_AUTO_TEST_CASE(a_memfd_is_shared_only_where_its_mapping_is) {
  proc::Mapping mapping = mapping_of("/memfd:program");
  BOOST_TEST((classify(mapping, 0).kind == Class::kSharedMemory));
  mapping.shared = false;
  BOOST_TEST((classify(mapping, 0).kind == Class::kDeletedPrivate));
}

BOOST_AUTO_TEST_CASE(a_segment_in_pieces_and_twice_is_complete) {
  const image::Manifest manifest = manifest_with_segment(0x3000);
  image::ProcessRecord process;
  attach(process, 0x10000, 0x11000, 0);
  attach(process, 0x11000, 0x13000, 0x1000);
  attach(process, 0x20000, 0x23000, 0);
  BOOST_TEST(check_attachments(process, manifest).ok());
}

BOOST_AUTO_TEST_CASE(a_segment_with_a_hole_is_refused) {
  const image::Manifest manifest = manifest_with_segment(0x3000);
  image::ProcessRecord process;
  attach(process, 0x10000, 0x11000, 0);
  attach(process, 0x12000, 0x13000, 0x2000);
  const Status checked = check_attachments(process, manifest);
  BOOST_REQUIRE(!checked.ok());
  BOOST_TEST((checked.error().kind == ErrorKind::kRefused));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace ck::memory
