#include "runtime/job/stop_with_program.h"

#include <signal.h>
#include <unistd.h>

#include "runtime/proc/stat.h"

namespace ck::job {
namespace {

constexpr int kWakeValue = 0x636b7074;                 // "ckpt"
constexpr std::chrono::milliseconds kServeTime{1000};  // for the request that follows a wake-up

}  // namespace

bool is_stopped(RealPid pid) {
  Result<proc::ProcessStat> stat = proc::read_stat(pid);
  return stat.ok() && stat->state == 'T';
}

StopWithProgram::StopWithProgram(boost::asio::io_context& io, RealPid program,
                                 std::function<bool()> busy, SharedTerminal* terminal)
    : program_(program), busy_(std::move(busy)), terminal_(terminal), again_(io) {}

void StopWithProgram::stop() {
  if (terminal_ != nullptr) terminal_->stop();
  raise(SIGSTOP);
  if (terminal_ != nullptr) terminal_->go_on();
}

void StopWithProgram::on_stop() {
  // While the engine traces the program, a wait in this thread would see the stops that are
  // meant for it: for wait(2), all threads of the real parent's process are the tracer.
  // A SIGSTOP of our own would discard a wake-up that is on its way.
  if (busy_() || serving_) return;
  if (getpgid(program_.value) != getpgrp()) return;
  stop();
}

bool StopWithProgram::is_wake_up(const signalfd_siginfo& info) {
  if (info.ssi_signo != SIGCONT) return false;
  again_.cancel();
  serving_ = false;
  if (info.ssi_code != SI_QUEUE || info.ssi_int != kWakeValue) return false;
  stop_again_later();
  return true;
}

void StopWithProgram::stop_again_later() {
  serving_ = true;
  again_.expires_after(kServeTime);
  again_.async_wait([this](boost::system::error_code error) {
    if (error) return;
    if (busy_()) return stop_again_later();
    serving_ = false;
    if (!is_stopped(program_)) return;
    stop();
  });
}

void wake_stopped_supervisor(RealPid supervisor) {
  if (!is_stopped(supervisor)) return;
  sigval value{};
  value.sival_int = kWakeValue;
  (void)sigqueue(supervisor.value, SIGCONT, value);
}

}  // namespace ck::job
