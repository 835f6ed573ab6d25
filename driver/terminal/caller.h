// How the user's end of a terminal reaches the job's: an answer comes later, nothing waits for it.
// One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::driver::terminal {

// Where a call goes to, and where it has ended up.
struct Place {
  std::string job;           // its id
  std::string host;          // where it was last; empty: on this host
  std::uint64_t server = 0;  // that was spoken to there: Welcome.server; 0: whichever there is
};

struct CallAnswer {
  UniqueFd connection;        // for a Link; or, if there is none:
  std::string host;           // where the job is, or has ended
  std::optional<int> status;  // its exit status; nothing: nobody knows
};

class Caller {
 public:
  virtual ~Caller() = default;
  // kNotFound: there is nobody who could be asked.
  virtual Status begin(const Place& place) = 0;
  virtual int fd() const = 0;  // readable: there may be an answer
  virtual Result<std::optional<CallAnswer>> answer() = 0;
  virtual void give_up() = 0;
};

}  // namespace ck::driver::terminal
