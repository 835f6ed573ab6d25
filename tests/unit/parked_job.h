// Several processes that each serve a slot of a control area, as those of a frozen job do: a root
// and what it has forked, so that they can share open files.
#pragma once

#include <sys/mman.h>

#include <deque>

#include "tests/unit/parked.h"

namespace ck::test {

class ParkedJob {
 public:
  // Forks a child of the root, which runs the function and is parked then.
  using Fork = std::function<void(const std::function<void()>&)>;

  // `prepare` runs in the root; it must fork `count` - 1 times. `finish`: in all, last of all.
  ParkedJob(
      const ControlArea& area, unsigned first_slot, unsigned count,
      const std::function<void(const Fork&)>& prepare,
      const std::function<void()>& finish = [] {}) {
    auto* pids = static_cast<pid_t*>(::mmap(nullptr, count * sizeof(pid_t), PROT_READ | PROT_WRITE,
                                            MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    BOOST_REQUIRE(pids != MAP_FAILED);
    for (unsigned i = 0; i < count; ++i) area.slot(first_slot + i)->state = abi::kArriving;
    root_.emplace(area, first_slot, [&] {
      unsigned next = 1;
      prepare([&](const std::function<void()>& child) {
        const unsigned number = next++;
        if (number >= count) ::_exit(98);
        const pid_t pid = ::fork();
        if (pid < 0) ::_exit(97);
        if (pid != 0) {
          pids[number] = pid;
          return;
        }
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        child();
        finish();
        serve(area, first_slot + number);
      });
      finish();
    });
    const auto address = reinterpret_cast<std::uint64_t>(area.header());
    for (unsigned i = 1; i < count; ++i) {
      BOOST_REQUIRE(pids[i] > 0);
      children_.push_back(RealPid(pids[i]));
      mailboxes_.emplace_back(area, first_slot + i, address, RealPid(pids[i]));
      BOOST_REQUIRE(mailboxes_.back().wait_parked().ok());
    }
    ::munmap(pids, count * sizeof(pid_t));
  }
  // The caller is a child subreaper: the children are its own once the root is gone.
  ~ParkedJob() {
    root_.reset();
    for (RealPid pid : children_) {
      ::kill(pid.value, SIGKILL);
      ::waitpid(pid.value, nullptr, 0);
    }
  }
  ParkedJob(const ParkedJob&) = delete;
  ParkedJob& operator=(const ParkedJob&) = delete;

  std::size_t size() const { return 1 + children_.size(); }
  RealPid pid(std::size_t process = 0) const {
    return process == 0 ? root_->pid() : children_[process - 1];
  }
  proc::Mailbox& mailbox(std::size_t process = 0) {
    return process == 0 ? root_->mailbox() : mailboxes_[process - 1];
  }

 private:
  std::optional<Parked> root_;
  std::vector<RealPid> children_;
  std::deque<proc::Mailbox> mailboxes_;
};

}  // namespace ck::test
