// TemporaryFile: a file that has its name only once it is whole. Where the file system can, it has
// no name at all until then (O_TMPFILE), so that nothing stays behind even after SIGKILL; elsewhere
// it is called .gen-XXXXXX.tmp in the same folder and is locked while its writer lives
// (remove_leftovers() in generations.h tells the dead ones by that). One thread at a time.
#pragma once

#include <string>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::image {

inline constexpr char kTemporaryPrefix[] = ".gen-";
inline constexpr char kTemporarySuffix[] = ".tmp";

class TemporaryFile {
 public:
  enum class Way { kBest, kNamed };
  static Result<TemporaryFile> create(const std::string& final_path, Way way = Way::kBest);
  TemporaryFile(TemporaryFile&&) noexcept = default;
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile();  // removes the file unless it was published

  int fd() const { return fd_.get(); }
  const std::string& final_path() const { return final_path_; }

  // To disk, content and size.
  Status sync();
  // Gives the file its name, unless that is taken, and makes the name safe on disk. After an error
  // the name does not exist (or is still somebody else's).
  Status publish();

 private:
  TemporaryFile() = default;
  Status open_unnamed();
  Status open_named();
  Status give_name();
  Status rename_named();

  UniqueFd folder_;
  UniqueFd fd_;
  std::string final_path_;
  std::string final_name_;
  std::string temporary_name_;  // empty: unnamed, or published
};

}  // namespace ck::image
