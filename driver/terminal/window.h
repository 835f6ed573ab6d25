// A terminal's size as a message has it. Pure; any thread.
#pragma once

#include "driver/terminal/terminal.pb.h"
#include "runtime/terminal/pty.h"

namespace ck::driver::terminal {

// `Message`: any with these four fields.
template <typename Message>
void put(const ck::terminal::Window& window, Message& message) {
  message.set_rows(window.ws_row);
  message.set_columns(window.ws_col);
  message.set_width(window.ws_xpixel);
  message.set_height(window.ws_ypixel);
}

inline wire::Window to_wire(const ck::terminal::Window& window) {
  wire::Window message;
  put(window, message);
  return message;
}

// check() has passed it.
template <typename Message>
ck::terminal::Window from_wire(const Message& message) {
  ck::terminal::Window window{};
  window.ws_row = static_cast<unsigned short>(message.rows());
  window.ws_col = static_cast<unsigned short>(message.columns());
  window.ws_xpixel = static_cast<unsigned short>(message.width());
  window.ws_ypixel = static_cast<unsigned short>(message.height());
  return window;
}

}  // namespace ck::driver::terminal
