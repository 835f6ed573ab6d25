#include "driver/files/bundle.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <optional>

#include "driver/files/list.h"
#include "runtime/base/unique_fd.h"
#include "runtime/image/bundle.h"
#include "runtime/image/writer.h"
#include "runtime/memory/file_content.h"
#include "runtime/memory/read_memory.h"

namespace ck::driver::files {
namespace {

// Kernels count a file's times in ticks, file servers by their own clock: two changes may have the
// same time.
constexpr std::int64_t kSameTime = 2'000'000'000;

Result<UniqueFd> open_file(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!fd) return sys_error("read " + path);
  return fd;
}

// By path, for there may be more files than descriptors.
class NamedSource final : public image::ByteSource {
 public:
  NamedSource(std::string path, bool may_shrink)
      : path_(std::move(path)), may_shrink_(may_shrink) {}

  Status read(std::uint64_t offset, std::span<std::byte> into) const override {
    Result<UniqueFd> fd = open_file(path_);
    while (!into.empty()) {
      if (!fd.ok() && !may_shrink_) return std::move(fd).error();
      const ssize_t got =
          fd.ok() ? ::pread(fd->get(), into.data(), into.size(), static_cast<off_t>(offset)) : 0;
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return sys_error("read " + path_);
      if (got == 0 && !may_shrink_)
        return make_error(ErrorKind::kTryAgain, path_ + " became shorter while it was read");
      if (got == 0) {
        std::memset(into.data(), 0, into.size());
        break;
      }
      offset += static_cast<std::uint64_t>(got);
      into = into.subspan(static_cast<std::size_t>(got));
    }
    return {};
  }

 private:
  std::string path_;
  bool may_shrink_;
};

class TextSource final : public image::ByteSource {
 public:
  explicit TextSource(std::string bytes) : bytes_(std::move(bytes)) {}
  std::uint64_t size() const { return bytes_.size(); }
  Status read(std::uint64_t offset, std::span<std::byte> into) const override {
    std::memcpy(into.data(), bytes_.data() + offset, into.size());
    return {};
  }

 private:
  std::string bytes_;
};

class Bundle {
 public:
  Bundle(image::Writer& writer, const wire::List* before) : writer_(writer), running_(!before) {
    if (before == nullptr) return;
    taken_ = before->taken_unix_ns();
    for (const wire::Entry& entry : before->entries()) before_[entry.path()] = &entry;
  }

  Status add(wire::List& list) {
    auto& entries = *list.mutable_entries();
    std::vector<int> gone;
    for (int i = 0; i < entries.size(); ++i)
      if (entries[i].kind() == wire::REGULAR && !is_unchanged(entries[i]) &&
          !CK_TRY(add_content(entries[i])))
        gone.push_back(i);
    for (auto index = gone.rbegin(); index != gone.rend(); ++index)
      entries.DeleteSubrange(*index, 1);
    CK_TRY(add_list(list.SerializeAsString()));
    manifest_.set_writer(image::kBundleWriter);
    return writer_.finish_chunks();
  }

  image::Manifest take() { return std::move(manifest_); }

 private:
  bool is_unchanged(const wire::Entry& entry) const {
    const auto found = before_.find(entry.path());
    if (found == before_.end() || entry.written() || found->second->written()) return false;
    const wire::Identity& then = found->second->identity();
    return same(then, entry.identity()) &&
           std::max(then.mtime_ns(), then.ctime_ns()) < taken_ - kSameTime;
  }

  Status add_list(std::string bytes) {
    list_.emplace(std::move(bytes));
    CK_TRY(feed("list", list_->size(), *list_, {{0, list_->size()}}));
    return {};
  }

  Result<std::uint32_t> feed(const std::string& path, std::uint64_t size,
                             const image::ByteSource& source, const std::vector<image::Run>& runs) {
    image::ObjectRecord& object = *manifest_.add_objects();
    object.set_kind(image::ObjectRecord::PATH);
    object.set_path(path);
    object.set_size(size);
    object.set_has_content(true);
    const auto index = static_cast<std::uint32_t>(manifest_.objects_size());
    memory::ChunkFeeder feeder(writer_, {image::StreamId::Kind::kObject, index - 1}, source);
    for (const image::Run& run : runs) CK_TRY(feeder.add(run.begin, run.begin + run.length));
    CK_TRY(feeder.flush());
    return index;
  }

  // False: it is not there any more.
  Result<bool> add_content(wire::Entry& entry) {
    Result<UniqueFd> fd = open_file(entry.path());
    if (!fd.ok() && running_ && fd.error().errnum == ENOENT) return false;
    if (!fd.ok())
      return std::move(fd).error().with_hint("it is among the job's files, which are to go along");
    struct stat status {};
    if (::fstat(fd->get(), &status) != 0) return sys_error("look at " + entry.path());
    if (!S_ISREG(status.st_mode)) return false;
    entry.set_size(static_cast<std::uint64_t>(status.st_size));
    entry.set_mtime_ns(identity_of(status).mtime_ns());
    *entry.mutable_identity() = identity_of(status);
    sources_.emplace_back(entry.path(), running_);
    entry.set_object(CK_TRY(feed(entry.path(), entry.size(), sources_.back(),
                                 CK_TRY(memory::data_runs(fd->get(), entry.size())))));
    return true;
  }

  image::Writer& writer_;
  const bool running_;
  std::int64_t taken_ = 0;
  std::map<std::string, const wire::Entry*> before_;
  std::deque<NamedSource> sources_;  // their places must not change
  std::optional<TextSource> list_;
  image::Manifest manifest_;
};

}  // namespace

Status write_bundle(const std::string& path, wire::List& list, const wire::List* before) {
  const std::unique_ptr<image::Writer> writer = CK_TRY(image::Writer::create(path, {}));
  Bundle bundle(*writer, before);
  CK_TRY(bundle.add(list));
  CK_TRY(writer->commit(bundle.take()));
  return {};
}

}  // namespace ck::driver::files
