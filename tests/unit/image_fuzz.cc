// Manifests that are wrong although every checksum is right: each is refused or harmless.
#include <google/protobuf/message.h>

#include <boost/test/unit_test.hpp>

#include "tests/unit/image_fixture.h"

using namespace ck;
using namespace ck::image;
using namespace ck::image::testing;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

namespace {

constexpr unsigned kSeed = 20240607;
constexpr int kRounds = 2000;

// A manifest with at least one of everything that has rules.
Manifest rich_job() {
  Manifest manifest = small_job(64 * kPageBytes);
  ObjectRecord& object = *manifest.add_objects();
  object.set_path("/lib/libc.so.6");
  object.set_size(3 * kPageBytes + 5);
  object.set_has_content(true);
  OpenFileRecord& file = *manifest.add_open_files();
  file.set_kind("regular");
  file.set_object(1);
  ProcessRecord& process = *manifest.mutable_processes(0);
  DescriptorRecord& descriptor = *process.add_descriptors();
  descriptor.set_fd(3);
  descriptor.set_open_file(1);
  MappingRecord& mapping = *process.add_mappings();
  mapping.set_begin(kBase + 100 * kPageBytes);
  mapping.set_end(kBase + 103 * kPageBytes);
  mapping.set_backing(BACKING_FILE);
  mapping.set_object(1);
  SignalActionRecord& action = *process.add_signal_actions();
  action.set_number(10);
  SignalRecord& signal = *process.add_pending();
  signal.set_number(12);
  signal.set_siginfo(std::string(128, 's'));
  process.add_interval_timers()->set_interval_us(5);
  process.add_posix_timers()->set_signal(14);
  process.add_limits()->set_hard(7);
  process.add_locks()->set_fd(3);
  process.mutable_vdso()->set_size(2 * kPageBytes);
  process.mutable_layout()->set_auxv(std::string(64, 'a'));
  process.mutable_agent()->set_area_size(65536);
  process.mutable_credentials()->add_groups(4);
  ThreadRecord& thread = *process.add_threads();
  thread = process.threads(0);
  thread.set_tid(1235);
  thread.mutable_scheduling()->set_nice(3);
  return manifest;
}

// The image with its manifest replaced and footer made to fit.
std::string with_manifest(const std::string& image, const std::string& manifest) {
  Footer footer;
  std::memcpy(&footer, image.data() + image.size() - sizeof footer, sizeof footer);
  const std::uint64_t offset = footer.manifest_offset;
  footer = make_footer(offset, manifest.size(), hash128(std::as_bytes(std::span(manifest))));
  std::string result = image.substr(0, offset) + manifest;
  result.append(reinterpret_cast<const char*>(&footer), sizeof footer);
  return result;
}

class Mutator {
 public:
  explicit Mutator(unsigned seed) : random_(seed) {}

  void mutate(Message& message) {
    const auto* descriptor = message.GetDescriptor();
    const Reflection& reflection = *message.GetReflection();
    const FieldDescriptor& field = *descriptor->field(pick(descriptor->field_count()));
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE)
      return mutate_message(message, reflection, field);
    if (field.is_repeated()) return mutate_repeated(message, reflection, field);
    set_scalar(message, reflection, field);
  }
  unsigned pick(int count) {
    return static_cast<unsigned>(random_() % static_cast<unsigned>(count));
  }

 private:
  void mutate_message(Message& message, const Reflection& reflection,
                      const FieldDescriptor& field) {
    if (!field.is_repeated()) {
      if (pick(8) == 0) return reflection.ClearField(&message, &field);
      return mutate(*reflection.MutableMessage(&message, &field));
    }
    const int size = reflection.FieldSize(message, &field);
    switch (size == 0 ? 0 : pick(12)) {
      case 0:
        reflection.AddMessage(&message, &field);
        break;
      case 1:
        reflection.RemoveLast(&message, &field);
        break;
      case 2:
        reflection.AddMessage(&message, &field)
            ->CopyFrom(reflection.GetRepeatedMessage(message, &field, 0));
        break;
      default:
        mutate(*reflection.MutableRepeatedMessage(&message, &field, static_cast<int>(pick(size))));
    }
  }
  void mutate_repeated(Message& message, const Reflection& reflection,
                       const FieldDescriptor& field) {
    const int size = reflection.FieldSize(message, &field);
    const bool wide = field.cpp_type() == FieldDescriptor::CPPTYPE_UINT64;
    if (size > 0 && pick(4) == 0) {
      reflection.RemoveLast(&message, &field);
    } else if (wide && size > 0 && pick(2) == 0) {
      reflection.SetRepeatedUInt64(&message, &field, static_cast<int>(pick(size)), number());
    } else if (wide) {
      reflection.AddUInt64(&message, &field, number());
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32) {
      reflection.AddUInt32(&message, &field, static_cast<std::uint32_t>(number()));
    } else {
      reflection.AddString(&message, &field, text());
    }
  }
  void set_scalar(Message& message, const Reflection& reflection, const FieldDescriptor& field) {
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return reflection.SetInt32(&message, &field, static_cast<std::int32_t>(number()));
      case FieldDescriptor::CPPTYPE_INT64:
        return reflection.SetInt64(&message, &field, static_cast<std::int64_t>(number()));
      case FieldDescriptor::CPPTYPE_UINT32:
        return reflection.SetUInt32(&message, &field, static_cast<std::uint32_t>(number()));
      case FieldDescriptor::CPPTYPE_UINT64:
        return reflection.SetUInt64(&message, &field, number());
      case FieldDescriptor::CPPTYPE_BOOL:
        return reflection.SetBool(&message, &field, pick(2) == 0);
      case FieldDescriptor::CPPTYPE_ENUM:
        return reflection.SetEnumValue(&message, &field, static_cast<int>(number()));
      default:
        return reflection.SetString(&message, &field, text());
    }
  }
  std::uint64_t number() {
    const std::uint64_t interesting[] = {0,          1,
                                         2,          5,
                                         64,         65,
                                         4095,       4096,
                                         1 << 20,    (1 << 20) + 1,
                                         kBase,      kBase + 4096,
                                         1ull << 47, 1ull << 63,
                                         0xffffffff, 0x7fffffff,
                                         ~0ull,      ~0ull - 4095};
    return pick(5) == 0 ? random_() : interesting[pick(std::size(interesting))];
  }
  std::string text() {
    const std::string texts[] = {"",
                                 std::string(1, '\0'),
                                 "/",
                                 "..",
                                 "\xff\xfe",
                                 std::string(40, 'x'),
                                 std::string(128, '\0'),
                                 std::string(sizeof(ck::abi::SignalFrame), 'f')};
    return texts[pick(std::size(texts))];
  }
  std::mt19937_64 random_;
};

struct RichImage {
  RichImage() {
    const MemorySource memory(kBase, text_bytes(64 * kPageBytes, 1));
    const MemorySource object(0, random_bytes(3 * kPageBytes + 5, 2));
    auto writer = Writer::create(folder.file("a"), {.threads = 1});
    BOOST_REQUIRE(add_all(**writer, {StreamId::Kind::kMemory, 0}, memory).ok());
    BOOST_REQUIRE(add_all(**writer, {StreamId::Kind::kObject, 0}, object).ok());
    const auto report = (*writer)->commit(rich_job());
    BOOST_REQUIRE_MESSAGE(report.ok(), why(report));
    bytes = slurp(folder.file("a"));
    manifest = (*Reader::open(folder.file("a"), true))->manifest();
  }
  // What open() and then verify() say of `changed`.
  std::string verdict(const std::string& changed) {
    const std::string path = folder.file("mutant");
    spill(path, with_manifest(bytes, changed));
    const auto reader = Reader::open(path, true);
    if (!reader.ok()) return reader.error().message;
    const auto verified = (*reader)->verify(1, nullptr);
    return verified.ok() ? "accepted" : verified.error().message;
  }
  std::string verdict(const std::function<void(Manifest&)>& change) {
    Manifest changed = manifest;
    change(changed);
    return verdict(changed.SerializeAsString());
  }
  ScratchFolder folder;
  std::string bytes;
  Manifest manifest;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(fuzz)

BOOST_AUTO_TEST_CASE(mutated_records_are_refused_or_harmless) {
  RichImage image;
  BOOST_REQUIRE(image.verdict(image.manifest.SerializeAsString()) == "accepted");
  Mutator mutator(kSeed);
  int refused = 0;
  for (int round = 0; round < kRounds; ++round) {
    Manifest mutant = image.manifest;
    for (unsigned i = 0; i <= mutator.pick(3); ++i) mutator.mutate(mutant);
    const std::string verdict = image.verdict(mutant.SerializePartialAsString());
    refused += verdict != "accepted" ? 1 : 0;
    BOOST_REQUIRE(verdict.find('\n') == std::string::npos);
  }
  BOOST_TEST_MESSAGE(refused << " of " << kRounds << " mutants refused");
  BOOST_TEST(refused > kRounds / 4);
}

BOOST_AUTO_TEST_CASE(mutated_serialised_bytes_are_refused_or_harmless) {
  RichImage image;
  const std::string good = image.manifest.SerializeAsString();
  std::mt19937_64 random(kSeed);
  for (int round = 0; round < kRounds / 2; ++round) {
    std::string mutant = good;
    for (unsigned i = 0; i <= random() % 4; ++i) {
      mutant[random() % mutant.size()] = static_cast<char>(random());
    }
    if (random() % 8 == 0) mutant.resize(random() % mutant.size());
    image.verdict(mutant);
  }
}

BOOST_AUTO_TEST_CASE(each_rule_has_its_message) {
  RichImage image;
  const auto says = [&](const char* expected, const std::function<void(Manifest&)>& change) {
    const std::string verdict = image.verdict(change);
    BOOST_TEST(verdict.find(expected) != std::string::npos,
               expected << " expected, got: " << verdict);
  };
  const auto process = [](Manifest& m) -> ProcessRecord& { return *m.mutable_processes(0); };
  const auto chunk = [](Manifest& m) -> ChunkRecord& { return *m.mutable_chunks(0); };
  says("it has no process", [](Manifest& m) { m.clear_processes(); });
  says("is not there", [](Manifest& m) { m.add_parents()->set_generation(3); });
  says("it has too many parents", [](Manifest& m) {
    while (m.parents_size() <= kMaxParents) m.add_parents();
  });
  says("is in a parent that is not there", [&](Manifest& m) { chunk(m).set_file(1); });
  says("leaves out what it should not", [&](Manifest& m) { chunk(m).add_run_skip(0); });
  says("the job's id is not a file name",
       [](Manifest& m) { m.mutable_job()->set_id("../../etc"); });
  says("has impossible bounds",
       [&](Manifest& m) { process(m).mutable_mappings(0)->set_begin(kBase + 1); });
  says("overlaps the one before",
       [&](Manifest& m) { process(m).mutable_mappings(1)->set_begin(kBase); });
  says("names an object that is not there",
       [&](Manifest& m) { process(m).mutable_mappings(1)->set_object(2); });
  says("leads to no open file",
       [&](Manifest& m) { process(m).mutable_descriptors(0)->set_open_file(2); });
  says("is out of range", [&](Manifest& m) { process(m).mutable_descriptors(0)->set_fd(1 << 20); });
  says("registers of an impossible size",
       [&](Manifest& m) { process(m).mutable_threads(1)->mutable_frame()->pop_back(); });
  says("two threads have the id 1234",
       [&](Manifest& m) { process(m).mutable_threads(1)->set_tid(1234); });
  says("has no leading thread", [&](Manifest& m) { process(m).clear_threads(); });
  says("contains a NUL", [&](Manifest& m) { process(m).set_cwd(std::string("/a\0b", 4)); });
  says("two processes have the same pid",
       [&](Manifest& m) { *m.add_processes() = m.processes(0); });
  says("is not inside the mappings",
       [&](Manifest& m) { process(m).mutable_mappings(0)->set_end(kBase + kPageBytes); });
  says("lies outside the file", [&](Manifest& m) { chunk(m).set_offset(1ull << 60); });
  says("has a size of", [&](Manifest& m) { chunk(m).set_raw_size(kChunkBytes + 1); });
  says("unknown way", [&](Manifest& m) { chunk(m).set_codec(7); });
  says("is longer than its runs",
       [&](Manifest& m) { chunk(m).set_raw_size(chunk(m).raw_size() + 4096); });
  says("two chunks hold the bytes", [&](Manifest& m) { *m.add_chunks() = m.chunks(0); });
  says("is damaged", [&](Manifest& m) { chunk(m).set_hash_low(chunk(m).hash_low() + 1); });
}

BOOST_AUTO_TEST_CASE(a_frame_that_unpacks_to_more_than_it_says) {
  RichImage image;
  const std::string verdict = image.verdict([](Manifest& m) {
    ChunkRecord& chunk = *m.mutable_chunks(0);
    chunk.set_raw_size(63 * kPageBytes);
    chunk.set_run_length(0, 63 * kPageBytes);
  });
  BOOST_TEST(verdict == "chunk 0 of " + image.folder.file("mutant") + " is damaged");
}

BOOST_AUTO_TEST_SUITE_END()
