// The supervisor's connection to the keeper of the job's terminal. Supervisor's main thread only,
// but peek_input() and thaw(), which the engine's thread calls.
#pragma once

#include <string>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/job/keeper_wire.h"
#include "runtime/terminal/queues.h"

namespace ck::job {

class KeeperLink {
 public:
  static Result<KeeperLink> connect(RealPid keeper, const std::string& job_name);

  RealPid keeper() const { return keeper_; }
  int socket() const { return socket_.get(); }
  int master() const { return master_.get(); }
  // The keeper takes this one instead.
  Status use(UniqueFd master);
  // What the client cannot be told is dropped.
  void say(keeper::Type type, int value = 0, const std::string& text = {}) const;
  // What is typed at the terminal and not read, by its client either; stays there. `freeze`: until
  // thaw() no more is read from the user's terminal, where it would be lost if the job ends now.
  Result<terminal::Input> peek_input(bool freeze) const;
  void thaw() const { say(keeper::Type::kThaw); }
  // Typed before anything else, as the program reads it.
  Status type(const std::string& bytes) const;

 private:
  KeeperLink(RealPid keeper, UniqueFd socket, UniqueFd master)
      : keeper_(keeper), socket_(std::move(socket)), master_(std::move(master)) {}
  RealPid keeper_;
  UniqueFd socket_, master_;
};

}  // namespace ck::job
