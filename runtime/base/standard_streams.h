// The numbers 0 to 2, which whatever this process opens must not get: what is meant for the user's
// streams would go there. Main thread, before any other thread is started.
#pragma once

namespace ck {

// Where this process was started without one of them, /dev/null stands in, close-on-exec: a program
// that is executed finds it closed as before.
void fill_standard_streams();
// Whether /dev/null stands in for it.
bool is_stand_in(int stream);

}  // namespace ck
