// The supervisor's end of the control area (abi/control_area.h): creates the file, maps it, holds
// the owner's mutex, hands out thread slots, runs mailbox calls. Engine only; one thread at a time.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "runtime/abi/control_area.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck {

// Slots that a process needs beside one for each thread: its twin's, and one for a leader that has
// exited, which the image counts too.
inline constexpr unsigned kSpareSlots = 2;

class ControlArea {
 public:
  // A new area file in `directory` (a tmpfs such as /dev/shm), mode 0600. `agent_path`:
  // libckrun.so. The calling thread becomes the owner (see AreaHeader::owner_word_offset): it must
  // outlive the job.
  static Result<ControlArea> create(const std::string& directory, const std::string& agent_path,
                                    unsigned slots, int request_signal);
  // Gives the first `slots` slots their memory, for good: without it, whoever touches them, the
  // program's threads too, dies by SIGBUS where the folder's file system is full. An Error of kind
  // kCannotWrite says so; nothing has changed then. Costs nothing where it has been done.
  Status reserve(unsigned slots);
  // The same for the table of ids (abi/ids.h).
  Status reserve_ids();
  // Opens the area of a job whose supervisor died, and becomes its owner.
  static Result<ControlArea> adopt(const std::string& path);
  // The supervisor of that area has died: gives threads that it had parked the time to go on by
  // themselves, or to end. Whether there were any; who ends leaves word of it.
  static Result<bool> await_orphans(const std::string& path);

  ControlArea(ControlArea&&) noexcept;
  ControlArea& operator=(ControlArea&&) noexcept;
  ~ControlArea();  // removes the file, unless remove_file_at_end(false); the mapping stays

  abi::AreaHeader* header() const { return header_; }
  abi::ThreadSlot* slot(unsigned index) const { return abi::slot_at(header_, index); }
  // The slots of an area of that size, as an image records it; 0: no area is that large.
  static unsigned slots_of_size(std::uint64_t size);
  unsigned slot_count() const { return header_->slot_count; }
  // What the job's processes call each other in system calls, against what their program knows.
  // The same, unless ids are virtual (abi/ids.h).
  pid_t real_id(pid_t known_as) const { return abi::signed_to_real(&header_->ids, known_as); }
  pid_t virtual_id(pid_t real) const { return abi::signed_to_virtual(&header_->ids, real); }
  bool has_virtual_ids() const { return header_->ids.on != 0; }
  // The same for ids of System V objects (abi/system_v_ids.h).
  int real_id(abi::SystemVFamily family, int known_as) const {
    return has_virtual_ids() ? abi::to_real(&header_->system_v, family, known_as) : known_as;
  }
  int virtual_id(abi::SystemVFamily family, int real) const {
    return has_virtual_ids() ? abi::to_virtual(&header_->system_v, family, real) : real;
  }
  int fd() const { return fd_.get(); }
  Result<ino_t> inode() const;  // of the file, as lists of mappings show it
  const std::string& path() const { return path_; }
  void remove_file_at_end(bool remove) { remove_file_ = remove; }

 private:
  ControlArea() = default;
  static Result<ControlArea> map_existing(const std::string& path);  // another's, as yet
  Status allocate(std::uint64_t begin, std::uint64_t end);
  UniqueFd fd_;
  std::string path_;
  abi::AreaHeader* header_ = nullptr;
  bool remove_file_ = true;
  unsigned reserved_ = 0;  // slots
};

}  // namespace ck
