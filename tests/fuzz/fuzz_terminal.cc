// Fuzzes what the two ends of a terminal say to each other, as it comes from a connection: damaged
// or ill-meant messages end it, and what is accepted can be sent on and is accepted again.
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "driver/terminal/check.h"
#include "driver/terminal/link.h"

namespace {

using namespace ck::driver::terminal;

void require(bool condition) {
  if (!condition) ::abort();
}

void pass_on(const wire::Message& message) {
  wire::Message again;
  require(again.ParseFromString(message.SerializeAsString()));
  require(check(again).ok());
  require(again.SerializeAsString() == message.SerializeAsString());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > kLongestPiece) return 0;  // more than is read at once
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 0;
  Link link{ck::UniqueFd(ends[0])};
  ck::UniqueFd other(ends[1]);
  if (::send(other.get(), data, size, MSG_DONTWAIT) < 0 && size != 0) return 0;
  other.reset();
  link.read();
  for (;;) {
    const auto message = link.next();
    if (!message.ok()) return 0;  // at the latest at the end of the connection
    require(message->has_value());
    pass_on(**message);
  }
}
