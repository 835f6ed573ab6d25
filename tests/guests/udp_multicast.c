// Membership in multicast groups.
#include <net/if.h>

#include "guest_socket.h"

int main(void) {
  struct ip_mreqn group4 = {.imr_ifindex = (int)if_nametoindex("lo")};
  struct ipv6_mreq group6 = {.ipv6mr_interface = if_nametoindex("lo")};
  EXPECT_EQ(inet_pton(AF_INET, "239.77.1.2", &group4.imr_multiaddr), 1);
  EXPECT_EQ(inet_pton(AF_INET6, "ff12::77:12", &group6.ipv6mr_multiaddr), 1);
  int four = socket(AF_INET, SOCK_DGRAM, 0), six = socket(AF_INET6, SOCK_DGRAM, 0);
  int other = socket(AF_INET, SOCK_DGRAM, 0);
  EXPECT_EQ(setsockopt(four, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group4, sizeof group4), 0);
  EXPECT_EQ(setsockopt(six, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &group6, sizeof group6), 0);
  guest_ready();
  guest_wait();
  // What was joined can be left, once.
  EXPECT_EQ(setsockopt(four, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group4, sizeof group4), 0);
  EXPECT_EQ(setsockopt(four, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group4, sizeof group4), -1);
  EXPECT_EQ(setsockopt(other, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group4, sizeof group4), -1);
  EXPECT_EQ(setsockopt(six, IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &group6, sizeof group6), 0);
  return guest_ok();
}
