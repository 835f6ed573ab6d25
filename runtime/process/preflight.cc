// preflight(): finds the program that a command means and refuses what the agent cannot live in,
// before anything is started.
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <sstream>

#include "runtime/process/launch.h"

namespace ck::process {
namespace {

constexpr int kMostInterpreters = 5;      // as the kernel's exec
constexpr std::size_t kScriptLine = 256;  // BINPRM_BUF_SIZE
constexpr std::string_view kLoader = "ld-linux-x86-64.so.2";
constexpr char kWhatRuns[] =
    "ckrun runs dynamically linked x86-64 programs without privileges of their own";

Error refused(const std::string& path, const std::string& reason) {
  return make_error(ErrorKind::kRefused, path + " " + reason, kWhatRuns);
}

// --- looking up

// Whether execve would take it; errno otherwise.
int executable_error(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return errno;
  if (S_ISDIR(info.st_mode)) return EISDIR;
  if (!S_ISREG(info.st_mode)) return EACCES;
  return faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

Error cannot_execute(const std::string& path, int failure) {
  Error error = sys_error("execute " + path, failure);
  error.kind =
      failure == ENOENT || failure == ENOTDIR ? ErrorKind::kNotFound : ErrorKind::kPermission;
  return error;
}

// As execvp and shells do: an entry that may not be executed does not end the search.
Result<std::string> look_up(const std::string& command, const std::string& path_variable) {
  if (command.empty()) return make_error(ErrorKind::kNotFound, "the command is empty");
  if (command.find('/') != std::string::npos) {
    int failure = executable_error(command);
    if (failure != 0) return cannot_execute(command, failure);
    return command;
  }
  std::optional<Error> denied;
  std::istringstream folders(path_variable + ":");
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string path = (folder.empty() ? "." : folder) + "/" + command;
    int failure = executable_error(path);
    if (failure == 0) return path;
    if (failure == EACCES && !denied) denied = cannot_execute(path, failure);
  }
  if (denied) return *denied;
  return make_error(ErrorKind::kNotFound, command + ": command not found");
}

// --- looking into

class File {
 public:
  static Result<File> open(const std::string& path) {
    File file;
    file.path_ = path;
    file.fd_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.fd_) return file;
    if (errno != EACCES) return cannot_execute(path, errno);
    return make_error(ErrorKind::kRefused,
                      path + " may be executed but not read: its memory could not be captured",
                      "ask its owner for permission to read it");
  }
  // Fewer bytes at the end of the file.
  std::string bytes(std::uint64_t offset, std::size_t count) const {
    std::string result(count, '\0');
    ssize_t got = pread(fd_.get(), result.data(), count, static_cast<off_t>(offset));
    result.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return result;
  }
  template <typename T>
  std::optional<T> value(std::uint64_t offset) const {
    std::string raw = bytes(offset, sizeof(T));
    if (raw.size() != sizeof(T)) return std::nullopt;
    T result;
    std::memcpy(&result, raw.data(), sizeof result);
    return result;
  }
  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }

 private:
  std::string path_;
  UniqueFd fd_;
};

Status check_privileges(const File& file) {
  struct stat info;
  if (fstat(file.fd(), &info) != 0) return sys_error("examine " + file.path());
  bool set_group = (info.st_mode & S_ISGID) != 0 && (info.st_mode & S_IXGRP) != 0;
  if ((info.st_mode & S_ISUID) != 0) return refused(file.path(), "is setuid");
  if (set_group) return refused(file.path(), "is setgid");
  if (fgetxattr(file.fd(), "security.capability", nullptr, 0) > 0) {
    return refused(file.path(), "has file capabilities");
  }
  return {};
}

// The path in PT_INTERP; nothing, if there is none.
Result<std::optional<std::string>> loader_of(const File& file, const Elf64_Ehdr& header) {
  constexpr unsigned kMostHeaders = 512;
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum > kMostHeaders) {
    return refused(file.path(), "has damaged program headers");
  }
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    auto segment = file.value<Elf64_Phdr>(header.e_phoff + i * sizeof(Elf64_Phdr));
    if (!segment) return refused(file.path(), "is truncated");
    if (segment->p_type != PT_INTERP) continue;
    if (segment->p_filesz > 4096) return refused(file.path(), "names an impossible loader");
    std::string loader = file.bytes(segment->p_offset, segment->p_filesz);
    return std::optional(loader.substr(0, loader.find('\0')));
  }
  return std::optional<std::string>();
}

Status check_elf(const File& file) {
  CK_TRY(check_privileges(file));
  std::string ident = file.bytes(0, EI_NIDENT);
  if (ident.size() == EI_NIDENT && ident[EI_CLASS] == ELFCLASS32) {
    return refused(file.path(), "is a 32-bit program");
  }
  auto header = file.value<Elf64_Ehdr>(0);
  if (!header) return refused(file.path(), "is truncated");
  if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
      header->e_machine != EM_X86_64) {
    return refused(file.path(), "is not a program for x86-64");
  }
  if (header->e_type != ET_EXEC && header->e_type != ET_DYN) {
    return refused(file.path(), "is an ELF file, but not a program");
  }
  std::optional<std::string> loader = CK_TRY(loader_of(file, *header));
  if (!loader) return refused(file.path(), "is statically linked");
  if (loader->substr(loader->rfind('/') + 1) != kLoader) {
    return refused(file.path(), "does not use glibc (its loader is " + *loader + ")");
  }
  return {};
}

// --- scripts

struct ScriptLine {
  std::string interpreter;
  std::string argument;
};

ScriptLine parse_script_line(const std::string& line) {
  std::istringstream words(line);
  ScriptLine result;
  words >> result.interpreter;
  std::getline(words >> std::ws, result.argument);
  return result;
}

// The program that `#!/usr/bin/env [-S] [NAME=VALUE…] PROG` means, or "".
std::string env_program(const ScriptLine& line) {
  if (line.interpreter.substr(line.interpreter.rfind('/') + 1) != "env") return {};
  std::istringstream words(line.argument);
  for (std::string word; words >> word;) {
    if (!word.starts_with('-') && word.find('=') == std::string::npos) return word;
  }
  return {};
}

Status check_program(const std::string& path, const std::string& path_variable, int depth) {
  File file = CK_TRY(File::open(path));
  std::string start = file.bytes(0, kScriptLine);
  if (start.starts_with(ELFMAG)) return check_elf(file);
  if (!start.starts_with("#!")) {
    return make_error(ErrorKind::kPermission,
                      path + " is neither a program nor a script with a #! line",
                      "for a shell script: ckrun sh " + path);
  }
  if (depth == 0) {
    return make_error(ErrorKind::kPermission, path + ": too many scripts run one another");
  }
  ScriptLine line = parse_script_line(start.substr(2, start.find('\n', 2) - 2));
  int failure = executable_error(line.interpreter);
  if (failure != 0) return cannot_execute(line.interpreter, failure).within(path);
  Status status = check_program(line.interpreter, path_variable, depth - 1);
  std::string program = env_program(line);
  if (status.ok() && !program.empty()) {
    // What env cannot find it will say itself.
    Result<std::string> found = look_up(program, path_variable);
    if (found.ok()) status = check_program(*found, path_variable, depth - 1);
  }
  if (!status.ok()) return std::move(status).error().within(path);
  return {};
}

}  // namespace

Result<std::string> preflight(const std::string& command, const std::string& path_variable) {
  std::string path = CK_TRY(look_up(command, path_variable));
  CK_TRY(check_program(path, path_variable, kMostInterpreters));
  return path;
}

}  // namespace ck::process
