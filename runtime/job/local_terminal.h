// The terminal of a job of this host, by its keeper. Main thread only.
#pragma once

#include "runtime/base/unique_fd.h"
#include "runtime/job/job_terminal.h"

namespace ck::job {

class LocalTerminal : public JobTerminal {
 public:
  explicit LocalTerminal(UniqueFd keeper) : keeper_(std::move(keeper)) {}

  Status attach(const std::string& modes, std::span<const int> fds) override;
  void watch(std::vector<pollfd>& fds) const override;
  std::chrono::milliseconds patience() const override { return std::chrono::milliseconds(-1); }
  void ready(std::span<const pollfd> fds) override;
  Result<std::optional<keeper::Message>> next() override;
  int bytes() const override { return master_.get(); }
  bool connected() const override { return true; }
  bool lost() const override { return false; }
  void say(keeper::Type type, int value) override;
  bool held(const std::string& pending) override;
  bool draws_screens() const override;
  std::optional<char> end_of_input() const override;
  void set_window(const terminal::Window& window) override;
  std::optional<terminal::Window> window() const override;

 private:
  UniqueFd keeper_, master_;
  bool has_message_ = false;
};

}  // namespace ck::job
