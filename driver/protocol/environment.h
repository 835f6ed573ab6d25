// Which variables of an environment belong to the host that it is on: a program that is started on
// another host does not get these. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace ck::protocol {

enum class Belonging {
  kUser,   // goes along
  kHost,   // means something on this host only
  kThere,  // so too, but the other host has one for the same user: that is taken instead
};

// `entry`: NAME=value, or the name.
Belonging belonging_of(std::string_view entry);

}  // namespace ck::protocol
