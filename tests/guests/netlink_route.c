// A netlink route socket: its port, its groups, and that it still answers.
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "guest_socket.h"

int main(void) {
  struct sockaddr_nl own = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK}, now;
  socklen_t length = sizeof own;
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  EXPECT_EQ(bind(fd, (struct sockaddr*)&own, sizeof own), 0);
  EXPECT_EQ(getsockname(fd, (struct sockaddr*)&own, &length), 0);
  set_option(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
  guest_ready();
  guest_wait();
  EXPECT_EQ(getsockname(fd, (struct sockaddr*)&now, &length), 0);
  EXPECT_EQ(now.nl_pid, own.nl_pid);
  EXPECT_EQ(now.nl_groups, RTMGRP_LINK);
  EXPECT_EQ(get_option(fd, SOL_NETLINK, NETLINK_EXT_ACK), 1);
  struct {
    struct nlmsghdr header;
    struct rtgenmsg body;
  } request = {{sizeof request, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0}, {AF_UNSPEC}};
  EXPECT_EQ(send(fd, &request, sizeof request, 0), sizeof request);
  static char answer[65536];
  EXPECT(recv(fd, answer, sizeof answer, 0) > 0);
  EXPECT_EQ(((struct nlmsghdr*)answer)->nlmsg_type, RTM_NEWLINK);
  return guest_ok();
}
