// What a socket is, in words, for messages.
#pragma once

#include <string>

namespace ck::resources {

// "a TCP socket 127.0.0.1:80 -> 127.0.0.1:4711"; `fd` may be -1.
std::string describe_socket(int fd);

}  // namespace ck::resources
