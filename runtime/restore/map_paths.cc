#include "runtime/restore/map_paths.h"

#include <sys/un.h>

#include <climits>
#include <utility>

#include "runtime/resources/states.pb.h"

namespace ck::restore {
namespace {

Status map_path(const PathMaps& maps, std::string* path, std::size_t limit = PATH_MAX) {
  std::string there = mapped(maps, *path);
  if (there.size() >= limit)
    return make_error(ErrorKind::kRefused, "the path " + *path + " becomes too long",
                      "map it to a shorter one");
  *path = std::move(there);
  return {};
}

// Of a UNIX socket: its path ends with a NUL, or does not; abstract ones begin with one.
Status map_name(const PathMaps& maps, std::string* name) {
  if (!name->starts_with('/')) return {};
  const std::size_t end = name->find('\0');
  std::string path = name->substr(0, end);
  CK_TRY(map_path(maps, &path, sizeof(sockaddr_un::sun_path)));
  *name = path + (end == name->npos ? "" : name->substr(end));
  return {};
}

Status map_socket(const PathMaps& maps, std::string* bytes) {
  resources::SocketState state;
  if (!state.ParseFromString(*bytes)) return {};  // the kind itself refuses it
  CK_TRY(map_name(maps, state.mutable_name()));
  CK_TRY(map_name(maps, state.mutable_peer_name()));
  for (auto& sender : *state.mutable_senders()) CK_TRY(map_name(maps, sender.mutable_name()));
  if (state.has_file()) CK_TRY(map_path(maps, state.mutable_file()->mutable_folder()));
  *bytes = state.SerializeAsString();
  return {};
}

Status map_watches(const PathMaps& maps, std::string* bytes) {
  resources::InotifyState state;
  if (!state.ParseFromString(*bytes)) return {};
  for (auto& watch : *state.mutable_watches()) CK_TRY(map_path(maps, watch.mutable_path()));
  *bytes = state.SerializeAsString();
  return {};
}

Status map_open_file(const PathMaps& maps, image::OpenFileRecord& file) {
  CK_TRY(map_path(maps, file.mutable_name()));
  if (file.kind() == "unix_socket") return map_socket(maps, file.mutable_state());
  if (file.kind() == "inotify") return map_watches(maps, file.mutable_state());
  return {};
}

Status map_process(const PathMaps& maps, image::ProcessRecord& process) {
  CK_TRY(map_path(maps, process.mutable_cwd()));
  CK_TRY(map_path(maps, process.mutable_exe()));
  for (image::MappingRecord& mapping : *process.mutable_mappings())
    if (mapping.backing() == image::BACKING_FILE) CK_TRY(map_path(maps, mapping.mutable_name()));
  return {};
}

class MappedReader final : public image::Reader {
 public:
  MappedReader(std::unique_ptr<image::Reader> reader, image::Manifest manifest)
      : reader_(std::move(reader)), manifest_(std::move(manifest)) {}
  const std::string& path() const override { return reader_->path(); }
  int fd() const override { return reader_->fd(); }
  const image::Manifest& manifest() const override { return manifest_; }
  std::uint64_t file_bytes() const override { return reader_->file_bytes(); }
  image::Hash128 manifest_hash() const override { return reader_->manifest_hash(); }
  int parent_fd(std::size_t index) const override { return reader_->parent_fd(index); }
  Status read_chunk(std::size_t index, std::span<std::byte> into) const override {
    return reader_->read_chunk(index, into);
  }
  Result<image::VerifyReport> verify(unsigned threads, image::Progress* progress) const override {
    return reader_->verify(threads, progress);
  }

 private:
  std::unique_ptr<image::Reader> reader_;
  image::Manifest manifest_;
};

}  // namespace

Status map_paths(image::Manifest& manifest, const PathMaps& maps) {
  for (image::ObjectRecord& object : *manifest.mutable_objects())
    CK_TRY(map_path(maps, object.mutable_path()));
  for (image::OpenFileRecord& file : *manifest.mutable_open_files())
    CK_TRY(map_open_file(maps, file));
  for (image::ProcessRecord& process : *manifest.mutable_processes())
    CK_TRY(map_process(maps, process));
  return {};
}

Result<std::unique_ptr<image::Reader>> with_mapped_paths(std::unique_ptr<image::Reader> reader,
                                                         const PathMaps& maps) {
  if (maps.empty()) return reader;
  image::Manifest manifest = reader->manifest();
  CK_TRY(map_paths(manifest, maps));
  return std::unique_ptr<image::Reader>(
      std::make_unique<MappedReader>(std::move(reader), std::move(manifest)));
}

}  // namespace ck::restore
