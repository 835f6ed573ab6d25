// What is on its way in a TCP connection with both ends at hand. Engine only.
#pragma once

#include <linux/tcp.h>

#include <string>

#include "runtime/base/result.h"

namespace ck::resources {

// tcp_info.tcpi_state; <netinet/tcp.h> has the names, and an older tcp_info.
enum TcpState {
  TCP_ESTABLISHED = 1,
  TCP_SYN_SENT,
  TCP_SYN_RECV,
  TCP_FIN_WAIT1,
  TCP_FIN_WAIT2,
  TCP_TIME_WAIT,
  TCP_CLOSE,
  TCP_CLOSE_WAIT,
  TCP_LAST_ACK,
  TCP_LISTEN,
  TCP_CLOSING
};

tcp_info info_of(int fd);

// What is unread in a socket, left there.
Result<std::string> peek_unread(int fd);

// What the reader has not read of what the sender has sent, as bytes are on both sides; it is there
// afterwards as before. Only if the receiver's window is full is it taken out and sent again, bit
// by bit.
Result<std::string> read_connection(int sender, int reader);

// Fills an empty connection of ours; buffers grow as they must.
Status send_all(int sender, int reader, const std::string& bytes);

}  // namespace ck::resources
