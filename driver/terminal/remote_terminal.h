// The terminal of a job that runs on another host, as the user's end has it: wherever the job goes,
// and however often the connection breaks. What is typed and shown goes through a socket pair, so
// that the client relays as it does with a terminal. Main thread only.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <string>

#include "driver/terminal/caller.h"
#include "driver/terminal/link.h"
#include "driver/terminal/numbered_bytes.h"
#include "runtime/job/job_terminal.h"

namespace ck::driver::terminal {

struct RemotePlan {
  Place place;
  std::string name;   // of the job
  int otherwise = 1;  // exit status if its end is not known
  bool moves = true;  // its user has its terminal before his eyes already
};

class RemoteTerminal : public job::JobTerminal {
 public:
  static Result<std::unique_ptr<RemoteTerminal>> make(RemotePlan plan,
                                                      std::unique_ptr<Caller> caller);

  Status attach(const std::string& modes, std::span<const int> fds) override;
  void watch(std::vector<pollfd>& fds) const override;
  std::chrono::milliseconds patience() const override;
  void ready(std::span<const pollfd> fds) override;
  Result<std::optional<job::keeper::Message>> next() override;
  int bytes() const override { return near_.get(); }
  bool connected() const override { return state_ == State::kOpen; }
  bool lost() const override { return told_lost_; }
  void say(job::keeper::Type type, int value) override;
  bool held(const std::string&) override { return false; }
  bool draws_screens() const override { return !modes_.lines(); }
  std::optional<char> end_of_input() const override;
  void set_window(const ck::terminal::Window& window) override;
  std::optional<ck::terminal::Window> window() const override;

 private:
  using Clock = std::chrono::steady_clock;
  enum class State {
    kWaiting,   // until next_try_
    kCalling,   // caller_ is at it
    kGreeting,  // connected, and not welcome yet
    kOpen,
    kOver,
  };

  RemoteTerminal(RemotePlan plan, std::unique_ptr<Caller> caller, UniqueFd near, UniqueFd far,
                 std::string session);
  std::string at_place() const;
  void tick();
  void call();
  void take_answer();
  void greet(UniqueFd connection);
  void take_link();
  Status handle(const wire::Message& message);
  Status welcome(const wire::Welcome& welcome);
  void handle(const wire::Event& event);
  void end(const wire::Ended& ended);
  void go_on_at(const std::string& host);
  void read_typed();
  void send_typed();
  void show();
  void lose(const Error& reason);
  void give_up();
  void post(job::keeper::Type type, int value = 0, const std::string& text = {});

  RemotePlan plan_;
  std::unique_ptr<Caller> caller_;
  UniqueFd near_, far_;
  std::string session_;
  State state_ = State::kWaiting;
  std::unique_ptr<Link> link_;
  NumberedBytes typed_;
  std::uint64_t shown_ = 0;  // number of the next byte to come
  std::string to_show_;      // come, and not in far_ yet
  bool known_ = false;       // there is a session with plan_.place.server
  wire::Modes modes_;
  std::optional<ck::terminal::Window> window_, job_window_;
  std::deque<job::keeper::Message> events_;
  Clock::time_point next_try_, lost_since_, heard_, pinged_, called_;
  bool told_lost_ = false;
  bool was_open_ = false;
  std::string reason_;  // of the last failure
};

}  // namespace ck::driver::terminal
