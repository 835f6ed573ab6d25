// The other end of what a terminal client relays: the terminal of a job, on this host or on another
// one. Main thread only.
#pragma once

#include <poll.h>

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/job/keeper_wire.h"
#include "runtime/terminal/pty.h"

namespace ck::job {

class JobTerminal {
 public:
  virtual ~JobTerminal() = default;

  // The client begins. `fds`, `modes`: of the user's own terminal, if it has one: its modes are
  // restored if this process is killed.
  virtual Status attach(const std::string& modes, std::span<const int> fds) = 0;

  // What is waited for, besides the bytes, and for how long at most (negative: for ever); then
  // ready() is told what came of it, and next() until it has no more. An Error of next(): it has
  // gone.
  virtual void watch(std::vector<pollfd>& fds) const = 0;
  virtual std::chrono::milliseconds patience() const = 0;
  virtual void ready(std::span<const pollfd> fds) = 0;
  virtual Result<std::optional<keeper::Message>> next() = 0;

  // Where what is typed goes to and what is shown comes from, once next() has said kMaster.
  virtual int bytes() const = 0;
  // Whether it can be reached now. What is typed meanwhile stays in the user's terminal.
  virtual bool connected() const = 0;
  // It has been out of reach for so long that its user was told.
  virtual bool lost() const = 0;

  // What a client says to the keeper.
  virtual void say(keeper::Type type, int value = 0) = 0;
  // The answer to kHold; false: `pending` is still the client's to type.
  virtual bool held(const std::string& pending) = 0;

  virtual bool draws_screens() const = 0;  // it is not in a mode in which lines are read
  virtual std::optional<char> end_of_input() const = 0;  // what is typed for it, if it reads lines
  virtual void set_window(const terminal::Window& window) = 0;
  virtual std::optional<terminal::Window> window() const = 0;
};

}  // namespace ck::job
