// The table of kinds. Adding a kind: its file, its declaration here, its row in table.cc.
#pragma once

#include <string_view>

#include "runtime/resources/kind.h"

namespace ck::resources {

extern const Kind kPathHandle;  // O_PATH
extern const Kind kPty;
extern const Kind kStandardStream;  // pipe, socket or terminal of the old session
extern const Kind kMessageQueue;
extern const Kind kDevice;
extern const Kind kRegularFile;
extern const Kind kSavedFile;  // unlinked files, memfd
extern const Kind kDirectory;
extern const Kind kPipe;
extern const Kind kFifo;
extern const Kind kEventFd;
extern const Kind kTimerFd;
extern const Kind kSignalFd;
extern const Kind kEpoll;
extern const Kind kInotify;
extern const Kind kIoUring;
extern const Kind kPidFd;
extern const Kind kUnixSocket;
extern const Kind kTcpSocket;
extern const Kind kUdpSocket;
extern const Kind kNetlinkSocket;

// The first row that recognises the file, or null.
const Kind* find_kind(const CaptureSession& session, const OpenFile& file);
const Kind* kind_named(std::string_view name);

// Why a file that no kind recognises cannot be kept.
Error refusal(const OpenFile& file);

}  // namespace ck::resources
