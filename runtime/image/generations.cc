#include "runtime/image/generations.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <set>

#include "runtime/base/unique_fd.h"
#include "runtime/image/temporary_file.h"

namespace ck::image {

namespace {

constexpr std::string_view kPrefix = "gen-";
constexpr std::string_view kSuffix = ".ckpt";
constexpr std::size_t kDigits = 6;
constexpr std::size_t kMaxDigits = 18;

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

Result<std::vector<std::string>> names_in(const std::string& folder) {
  std::unique_ptr<DIR, CloseFolder> open(::opendir(folder.c_str()));
  if (!open) return sys_error("open " + folder);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(open.get())) names.emplace_back(entry->d_name);
  if (errno != 0) return sys_error("list " + folder);
  return names;
}

}  // namespace

Status link_file(int fd, const std::string& to) {
  const std::string from = "/proc/self/fd/" + std::to_string(fd);
  if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) == 0 ||
      errno == EEXIST)
    return {};
  return sys_error("link " + to);
}

std::string generation_name(std::uint64_t number) {
  char text[48];
  std::snprintf(text, sizeof text, "gen-%06" PRIu64 ".ckpt", number);
  return text;
}

std::optional<std::uint64_t> generation_number(std::string_view name) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return std::nullopt;
  if (name.size() < kPrefix.size() + kDigits + kSuffix.size()) return std::nullopt;
  const std::string_view digits =
      name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
  if (digits.size() > kMaxDigits || (digits.size() > kDigits && digits[0] == '0'))
    return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number == 0)
    return std::nullopt;
  return number;
}

Result<std::vector<Generation>> list_generations(const std::string& folder) {
  std::vector<Generation> generations;
  const std::vector<std::string> names = CK_TRY(names_in(folder));
  for (const std::string& name : names) {
    if (auto number = generation_number(name))
      generations.push_back({*number, folder + "/" + name});
  }
  std::sort(generations.begin(), generations.end(),
            [](const Generation& a, const Generation& b) { return a.number < b.number; });
  return generations;
}

Result<std::uint64_t> next_generation(const std::string& folder) {
  const std::vector<Generation> all = CK_TRY(list_generations(folder));
  return all.empty() ? 1 : all.back().number + 1;
}

Result<NewestWhole> open_newest_whole(const std::string& folder, bool require_owner) {
  const std::vector<Generation> all = CK_TRY(list_generations(folder));
  std::optional<Error> newest_error;
  NewestWhole newest;
  for (auto generation = all.rbegin(); generation != all.rend(); ++generation) {
    Result<std::unique_ptr<Reader>> reader = Reader::open(generation->path, require_owner);
    if (reader.ok()) {
      newest.generation = *generation;
      newest.reader = std::move(reader).value();
      return newest;
    }
    newest.skipped.push_back(reader.error().message);
    if (!newest_error) newest_error = std::move(reader).error();
  }
  if (newest_error) return std::move(*newest_error);
  return make_error(ErrorKind::kNotFound, folder + " holds no image",
                    "the job has not been checkpointed yet");
}

Result<Retention> keep_newest(const std::string& folder, unsigned keep) {
  std::vector<Generation> all = CK_TRY(list_generations(folder));
  Retention retention;
  unsigned whole = 0;
  while (!all.empty() && whole < std::max(keep, 1u)) {
    const Result<std::unique_ptr<Reader>> reader = Reader::open(all.back().path, true);
    if (reader.ok()) {
      ++whole;
    } else {
      retention.damaged.push_back(reader.error().message);
    }
    all.pop_back();
  }
  if (whole < std::max(keep, 1u)) return retention;
  for (const Generation& generation : all) {  // oldest first: a break in between leaves the newer
    if (::unlink(generation.path.c_str()) == 0) {
      retention.removed.push_back(generation.path);
    } else if (errno != ENOENT) {
      return sys_error("remove " + generation.path);
    }
  }
  CK_TRY(remove_unneeded_parents(folder));
  return retention;
}

Result<std::vector<std::string>> list_parents(const std::string& folder) {
  std::vector<std::string> parents;
  const Result<std::vector<std::string>> names = names_in(folder);
  if (!names.ok() && names.error().errnum == ENOENT) return parents;
  if (!names.ok()) return names.error();
  for (const std::string& name : *names)
    if (name.starts_with(kParentPrefix) && name.ends_with(kSuffix))
      parents.push_back(folder + "/" + name);
  return parents;
}

Status link_parents(const Reader& image, const std::string& folder) {
  for (int i = 0; i < image.manifest().parents_size(); ++i) {
    const ParentRecord& parent = image.manifest().parents(i);
    CK_TRY(link_file(image.parent_fd(static_cast<std::size_t>(i)),
                     folder + "/" + parent_name({parent.hash_low(), parent.hash_high()})));
  }
  return {};
}

Status remove_unneeded_parents(const std::string& folder) {
  const std::vector<std::string> parents = CK_TRY(list_parents(folder));
  if (parents.empty()) return {};
  std::set<ino_t> named;  // otherwise, too
  for (const std::string& name : CK_TRY(names_in(folder))) {
    struct stat status {};
    if (!name.starts_with(kParentPrefix) && ::lstat((folder + "/" + name).c_str(), &status) == 0)
      named.insert(status.st_ino);
  }
  std::set<std::string> needed;
  for (const Generation& generation : CK_TRY(list_generations(folder))) {
    const Result<std::unique_ptr<Reader>> reader = Reader::open_records(generation.path, false);
    if (!reader.ok()) continue;
    for (const ParentRecord& parent : (*reader)->manifest().parents())
      needed.insert(folder + "/" + parent_name({parent.hash_low(), parent.hash_high()}));
  }
  for (const std::string& parent : parents) {
    struct stat status {};
    if (needed.contains(parent) || ::lstat(parent.c_str(), &status) != 0 ||
        named.contains(status.st_ino))
      continue;
    if (::unlink(parent.c_str()) != 0 && errno != ENOENT) return sys_error("remove " + parent);
  }
  return {};
}

Status remove_leftovers(const std::string& folder) {
  const std::vector<std::string> names = CK_TRY(names_in(folder));
  for (const std::string& name : names) {
    if (!name.starts_with(kTemporaryPrefix) || !name.ends_with(kTemporarySuffix)) continue;
    const std::string path = folder + "/" + name;
    UniqueFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (file && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(path.c_str());
  }
  return {};
}

}  // namespace ck::image
