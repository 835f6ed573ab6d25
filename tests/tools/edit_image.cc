// edit_image IN OUT EDIT: a copy of an image, whole and with good checksums, as another host would
// have written it. Edits:
//   vdso          of another kernel: the same functions, but their code traps if it is ever run
//   vdso-layout   of another kernel: a smaller [vvar]
//   vdso-unknown  of another kernel: with a function that this host's vdso lacks
//   cpu           of a CPU with 3DNow! and AMX
//   agent         of another version of the agent
//   newer         of a newer image format
#include <elf.h>
#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>

#include "runtime/image/format.h"
#include "runtime/image/reader.h"
#include "runtime/image/writer.h"

namespace ck::image {
namespace {

constexpr std::byte kTrap{0xcc};  // int3

// The content of one chunk, by its runs.
class ChunkSource final : public ByteSource {
 public:
  ChunkSource(const ChunkRecord& chunk, std::vector<std::byte> bytes)
      : chunk_(chunk), bytes_(std::move(bytes)) {}

  Status read(std::uint64_t offset, std::span<std::byte> into) const override {
    std::size_t at = 0;
    for (int i = 0; i < chunk_.run_begin_size(); ++i) {
      const std::uint64_t begin = chunk_.run_begin(i);
      const std::uint64_t length = chunk_.run_length(i);
      if (offset >= begin && offset - begin + into.size() <= length) {
        std::memcpy(into.data(), bytes_.data() + at + (offset - begin), into.size());
        return {};
      }
      at += length;
    }
    return make_error(ErrorKind::kBug, "the writer asks for what no run holds");
  }

 private:
  const ChunkRecord& chunk_;
  std::vector<std::byte> bytes_;
};

Status copy_chunks(const Reader& reader, Writer& writer) {
  std::vector<std::unique_ptr<ChunkSource>> sources;
  for (int i = 0; i < reader.manifest().chunks_size(); ++i) {
    const ChunkRecord& chunk = reader.manifest().chunks(i);
    std::vector<std::byte> bytes(chunk.raw_size());
    CK_TRY(reader.read_chunk(static_cast<std::size_t>(i), bytes));
    std::vector<Run> runs;
    for (int run = 0; run < chunk.run_begin_size(); ++run)
      runs.push_back({chunk.run_begin(run), chunk.run_length(run)});
    sources.push_back(std::make_unique<ChunkSource>(chunk, std::move(bytes)));
    CK_TRY(writer.add(StreamId::unpack(chunk.stream()), *sources.back(), std::move(runs),
                      ZeroPages::kKeep));
  }
  return writer.finish_chunks();
}

Error no_such_part(const char* what) {
  return make_error(ErrorKind::kBadImage, std::string("the image has no ") + what + " to edit");
}

template <typename T>
T at(const std::string& content, std::uint64_t offset) {
  T value{};
  if (offset <= content.size() && sizeof value <= content.size() - offset)
    std::memcpy(&value, content.data() + offset, sizeof value);
  return value;
}

Status put_traps(std::string& vdso) {
  const auto header = at<Elf64_Ehdr>(vdso, 0);
  bool any = false;
  for (unsigned i = 0; i < header.e_shnum; ++i) {
    const auto section = at<Elf64_Shdr>(vdso, header.e_shoff + i * sizeof(Elf64_Shdr));
    if (section.sh_type != SHT_PROGBITS || (section.sh_flags & SHF_EXECINSTR) == 0 ||
        section.sh_offset + section.sh_size > vdso.size())
      continue;
    std::fill_n(vdso.begin() + static_cast<std::ptrdiff_t>(section.sh_offset), section.sh_size,
                static_cast<char>(kTrap));
    any = true;
  }
  return any ? Status() : Status(no_such_part("code in its vdso"));
}

Status edit_vdso(Manifest& manifest) {
  return put_traps(*manifest.mutable_processes(0)->mutable_vdso()->mutable_content());
}

Status edit_vdso_layout(Manifest& manifest) {
  for (MappingRecord& mapping : *manifest.mutable_processes(0)->mutable_mappings()) {
    if (mapping.backing() != BACKING_VVAR || mapping.end() - mapping.begin() <= kPageBytes)
      continue;
    mapping.set_begin(mapping.begin() + kPageBytes);
    return {};
  }
  return no_such_part("[vvar] of several pages");
}

Status edit_vdso_unknown(Manifest& manifest) {
  std::string& vdso = *manifest.mutable_processes(0)->mutable_vdso()->mutable_content();
  const std::string name = "__vdso_getcpu";
  const std::size_t place = vdso.find(name + '\0');
  if (place == std::string::npos) return no_such_part("getcpu in its vdso");
  vdso.replace(place, name.size(), "__vdso_unseen");
  return {};
}

Status edit_cpu(Manifest& manifest) {
  for (CpuidLeaf& leaf : *manifest.mutable_host()->mutable_cpuid()) {
    if (leaf.leaf() == 7 && leaf.subleaf() == 0) leaf.set_edx(leaf.edx() | 1u << 24);
    if (leaf.leaf() == 0x80000001) leaf.set_edx(leaf.edx() | 1u << 31);
  }
  manifest.mutable_host()->set_cpu_model("a CPU of another make");
  return {};
}

Status edit_agent(Manifest& manifest) {
  AgentRecord& agent = *manifest.mutable_processes(0)->mutable_agent();
  agent.set_version(agent.version() + 1);
  return {};
}

Status make_newer(const std::string& path) {
  Header header = make_header();
  header.version = kFormatVersion + 1;
  std::uint64_t seed = 0;
  std::memcpy(&seed, kHeaderMagic, sizeof seed);
  header.hash = XXH3_64bits_withSeed(&header, offsetof(Header, hash), seed);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0 || ::pwrite(fd, &header, sizeof header, 0) != sizeof header)
    return sys_error("write " + path);
  ::close(fd);
  return {};
}

const std::map<std::string, Status (*)(Manifest&)> kEdits = {
    {"vdso", edit_vdso},
    {"vdso-layout", edit_vdso_layout},
    {"vdso-unknown", edit_vdso_unknown},
    {"cpu", edit_cpu},
    {"agent", edit_agent},
    {"newer", [](Manifest&) { return Status(); }}};

Status run(const std::string& from, const std::string& to, const std::string& edit) {
  const auto found = kEdits.find(edit);
  if (found == kEdits.end())
    return make_error(ErrorKind::kUsage, "there is no edit '" + edit + "'");
  const auto reader = CK_TRY(Reader::open(from, false));
  Manifest manifest = reader->manifest();
  if (manifest.processes_size() == 0) return no_such_part("process");
  CK_TRY(found->second(manifest));
  auto writer = CK_TRY(Writer::create(to, {.threads = 1}));
  CK_TRY(copy_chunks(*reader, *writer));
  CK_TRY(writer->commit(std::move(manifest)));
  return edit == "newer" ? make_newer(to) : Status();
}

}  // namespace
}  // namespace ck::image

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: edit_image IN OUT EDIT\n");
    return ck::exit_code(ck::ErrorKind::kUsage);
  }
  const ck::Status done = ck::image::run(argv[1], argv[2], argv[3]);
  if (done.ok()) return 0;
  std::fprintf(stderr, "edit_image: %s\n", done.error().text().c_str());
  return ck::exit_code(done.error().kind);
}
