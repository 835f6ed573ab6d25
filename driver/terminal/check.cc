#include "driver/terminal/check.h"

#include <limits>

#include "driver/protocol/check.h"
#include "driver/protocol/fields.h"

namespace ck::driver::terminal {
namespace {

using protocol::bad_field;
using protocol::check_text;

constexpr int kLastSignal = 64;
constexpr int kMostStatus = 0xffff;  // with the mark of a signal, see base/death.h

Status check_signal(std::string_view field, int number, int least) {
  const bool good = number >= least && number <= kLastSignal;
  return good ? Status() : bad_field(field, "is not a signal");
}

Status check_window(const wire::Window& window) {
  constexpr std::uint32_t kMost = std::numeric_limits<unsigned short>::max();
  for (const std::uint32_t size :
       {window.rows(), window.columns(), window.width(), window.height()})
    if (size > kMost) return bad_field("window", "is too large");
  return {};
}

Status check_modes(const wire::Modes& modes) {
  return modes.end_of_input() <= 255 ? Status()
                                     : bad_field("modes.end_of_input", "is no character");
}

Status check_greeting(const wire::Greeting& greeting) {
  if (greeting.version() != kVersion)
    return make_error(ErrorKind::kRefused, "the hosts' versions of ckrun differ");
  if (greeting.session().size() != kSessionBytes)
    return bad_field("greeting.session", "has another length");
  return check_window(greeting.window());
}

Status check_welcome(const wire::Welcome& welcome) {
  CK_TRY(check_text("welcome.name", welcome.name(), 64));
  CK_TRY(check_modes(welcome.modes()));
  return check_window(welcome.window());
}

Status check_command(const wire::Command& command) {
  if (command.has_signal()) return check_signal("command.signal", command.signal(), 1);
  if (command.has_background()) return check_signal("command.background", command.background(), 0);
  if (command.kind_case() == wire::Command::KIND_NOT_SET) return bad_field("command", "is missing");
  return {};
}

Status check_ended(const wire::Ended& ended) {
  if (ended.status() < 0 || ended.status() > kMostStatus)
    return bad_field("ended.status", "is not an exit status");
  CK_TRY(check_text("ended.text", ended.text(), kLongestText));
  return ended.moved_to().empty() ? Status() : protocol::check_host_name(ended.moved_to());
}

Status check_event(const wire::Event& event) {
  switch (event.kind_case()) {
    case wire::Event::kStopped:
      return check_signal("event.stopped", event.stopped(), 1);
    case wire::Event::kTell:
      return check_text("event.tell", event.tell(), kLongestText);
    case wire::Event::kLeft:
      return {};
    case wire::Event::kEnded:
      return check_ended(event.ended());
    case wire::Event::KIND_NOT_SET:
      break;
  }
  return bad_field("event", "is missing");
}

Status check_piece(const wire::Piece& piece) {
  const bool good = !piece.bytes().empty() && piece.bytes().size() <= kLongestPiece;
  return good ? Status() : bad_field("piece.bytes", "has a length that is not allowed");
}

}  // namespace

Status check(const wire::Message& message) {
  switch (message.kind_case()) {
    case wire::Message::kGreeting:
      return check_greeting(message.greeting());
    case wire::Message::kWindow:
      return check_window(message.window());
    case wire::Message::kCommand:
      return check_command(message.command());
    case wire::Message::kWelcome:
      return check_welcome(message.welcome());
    case wire::Message::kModes:
      return check_modes(message.modes());
    case wire::Message::kEvent:
      return check_event(message.event());
    case wire::Message::kPiece:
      return check_piece(message.piece());
    case wire::Message::kTaken:
    case wire::Message::kPing:
      return {};
    case wire::Message::KIND_NOT_SET:
      break;
  }
  return make_error(ErrorKind::kRefused, "a message is of a kind that is not known here");
}

}  // namespace ck::driver::terminal
