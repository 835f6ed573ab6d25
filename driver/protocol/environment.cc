#include "driver/protocol/environment.h"

#include <algorithm>
#include <iterator>

namespace ck::protocol {
namespace {

// Where the user's files, jobs and sockets are.
constexpr std::string_view kThere[] = {"HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "CKRUN_DIR",
                                       "CKD_SOCKET"};
// Sockets, sessions and windows of programs that run here.
constexpr std::string_view kHere[] = {"DBUS_SESSION_BUS_ADDRESS",
                                      "DISPLAY",
                                      "HOSTNAME",
                                      "STY",
                                      "TMUX",
                                      "TMUX_PANE",
                                      "WINDOWID",
                                      "XAUTHORITY",
                                      "XDG_SESSION_ID",
                                      "WAYLAND_DISPLAY"};

}  // namespace

Belonging belonging_of(std::string_view entry) {
  const std::string_view name = entry.substr(0, entry.find('='));
  const auto is_name = [name](std::string_view one) { return one == name; };
  if (std::any_of(std::begin(kThere), std::end(kThere), is_name)) return Belonging::kThere;
  if (name.starts_with("SSH_") || std::any_of(std::begin(kHere), std::end(kHere), is_name))
    return Belonging::kHost;
  return Belonging::kUser;
}

}  // namespace ck::protocol
