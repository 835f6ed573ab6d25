// The images of a job: generations 1, 2, 3, … as gen-000001.ckpt and so on in one folder. Other
// files there are left alone. Whoever calls what deletes or numbers must hold the job's lock.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/image/reader.h"

namespace ck::image {

struct Generation {
  std::uint64_t number = 0;
  std::string path;
};

std::string generation_name(std::uint64_t number);
std::optional<std::uint64_t> generation_number(std::string_view file_name);

// Oldest first, whole or not.
Result<std::vector<Generation>> list_generations(const std::string& folder);
Result<std::uint64_t> next_generation(const std::string& folder);

struct NewestWhole {
  Generation generation;
  std::unique_ptr<Reader> reader;
  std::vector<std::string> skipped;  // newer ones that cannot be used: one line each, and why
};
// Opens the newest generation that Reader::open() accepts. If there is none but damaged ones, the
// error is about the newest of them.
Result<NewestWhole> open_newest_whole(const std::string& folder, bool require_owner);

struct Retention {
  std::vector<std::string> removed;
  std::vector<std::string> damaged;  // newer than the oldest one kept: one line each, left there
};
// Removes what is older than the `keep` newest whole generations (at least one is kept); removes
// nothing while there are fewer than that. Parents that nothing needs any more go, too.
Result<Retention> keep_newest(const std::string& folder, unsigned keep);

// One more name of an open file; nothing to do if there is one of that name.
Status link_file(int fd, const std::string& to);
// Images there that incremental ones need (parent_name()): their paths. None where there is no such
// folder.
Result<std::vector<std::string>> list_parents(const std::string& folder);
// Gives the image's parents their names in `folder`, too, which must be on the same file system.
Status link_parents(const Reader& image, const std::string& folder);
// Removes those that no generation in the folder needs. One that has another name there, too, is
// left: something may yet be written on top of it.
Status remove_unneeded_parents(const std::string& folder);

// Removes temporary files of writers that died, where O_TMPFILE was not to be had.
Status remove_leftovers(const std::string& folder);

}  // namespace ck::image
