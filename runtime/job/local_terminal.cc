#include "runtime/job/local_terminal.h"

#include <fcntl.h>

#include <utility>

namespace ck::job {

using keeper::Message;
using keeper::Type;

Status LocalTerminal::attach(const std::string& modes, std::span<const int> fds) {
  return keeper::send(keeper_.get(), Type::kAttach, 0, modes, fds);
}

void LocalTerminal::watch(std::vector<pollfd>& fds) const {
  fds.push_back({keeper_.get(), POLLIN, 0});
}

void LocalTerminal::ready(std::span<const pollfd> fds) {
  has_message_ = fds[0].revents != 0;
}

Result<std::optional<Message>> LocalTerminal::next() {
  if (!std::exchange(has_message_, false)) return std::optional<Message>();
  Message message = CK_TRY(keeper::receive(keeper_.get()));
  if (message.type == Type::kMaster) {
    if (message.fds.empty()) return std::optional<Message>();
    master_ = std::move(message.fds.front());
    ::fcntl(master_.get(), F_SETFL, ::fcntl(master_.get(), F_GETFL) | O_NONBLOCK);
  }
  return std::optional(std::move(message));
}

void LocalTerminal::say(Type type, int value) {
  (void)keeper::send(keeper_.get(), type, value);
}

bool LocalTerminal::held(const std::string& pending) {
  const Result<UniqueFd> file = keeper::as_file(pending);
  if (!file.ok()) {
    say(Type::kHeld, 0);
    return false;
  }
  const int fd = file->get();
  return keeper::send(keeper_.get(), Type::kHeld, 0, {}, std::span(&fd, 1)).ok();
}

bool LocalTerminal::draws_screens() const {
  const Result<terminal::Modes> modes = terminal::modes_of(master_.get());
  return modes.ok() && (modes->c_lflag & ICANON) == 0;
}

std::optional<char> LocalTerminal::end_of_input() const {
  const Result<terminal::Modes> modes = terminal::modes_of(master_.get());
  if (!modes.ok() || (modes->c_lflag & ICANON) == 0) return std::nullopt;
  return static_cast<char>(modes->c_cc[VEOF]);
}

void LocalTerminal::set_window(const terminal::Window& window) {
  (void)terminal::set_window(master_.get(), window);
}

std::optional<terminal::Window> LocalTerminal::window() const {
  const Result<terminal::Window> window = terminal::window_of(master_.get());
  return window.ok() ? std::optional(*window) : std::nullopt;
}

}  // namespace ck::job
