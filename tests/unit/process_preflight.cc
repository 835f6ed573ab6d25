#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstring>

#include "runtime/process/launch.h"
#include "tests/unit/temporary_folder.h"

using ck::ErrorKind;
using ck::process::preflight;

namespace {

// An ELF file with nothing but headers: enough to be looked at, not to run.
std::string elf_file(const char* loader, unsigned char elf_class = ELFCLASS64,
                     Elf64_Half machine = EM_X86_64, Elf64_Half type = ET_DYN) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = elf_class;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = type;
  header.e_machine = machine;
  header.e_phoff = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = loader == nullptr ? 0 : 1;
  std::string file(reinterpret_cast<const char*>(&header), sizeof header);
  if (loader == nullptr) return file;
  Elf64_Phdr segment{};
  segment.p_type = PT_INTERP;
  segment.p_offset = sizeof header + sizeof segment;
  segment.p_filesz = std::strlen(loader) + 1;
  file.append(reinterpret_cast<const char*>(&segment), sizeof segment);
  return file.append(loader, std::strlen(loader) + 1);
}

constexpr char kGlibc[] = "/lib64/ld-linux-x86-64.so.2";

struct Fixture {
  ck::test::TemporaryFolder folder;
  std::string program(const std::string& name, const std::string& content, mode_t mode = 0755) {
    std::string path = folder.write(name, content);
    BOOST_REQUIRE(chmod(path.c_str(), mode) == 0);
    return path;
  }
};

void refused(const std::string& path, ErrorKind kind, const std::string& part) {
  auto result = preflight(path, "/usr/bin:/bin");
  BOOST_REQUIRE(!result.ok());
  BOOST_TEST((result.error().kind == kind), result.error().text());
  BOOST_TEST(result.error().message.find(part) != std::string::npos, result.error().text());
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(process_preflight, Fixture)

BOOST_AUTO_TEST_CASE(programs_are_found_in_the_path) {
  std::string path = program("prog", elf_file(kGlibc));
  BOOST_TEST(*preflight("prog", "/none:" + folder.path() + ":/bin") == path);
  BOOST_TEST(*preflight(path, "") == path);
  BOOST_TEST(preflight("sh", "/usr/bin:/bin").ok());
}

BOOST_AUTO_TEST_CASE(a_file_that_may_not_be_executed_does_not_end_the_search) {
  program("a", elf_file(kGlibc), 0644);
  mkdir(folder.file("second").c_str(), 0755);
  std::string second = program("second/a", elf_file(kGlibc));
  BOOST_TEST(*preflight("a", folder.path() + ":" + folder.file("second")) == second);
}

BOOST_AUTO_TEST_CASE(missing_and_unfit_files) {
  refused(folder.file("absent"), ErrorKind::kNotFound, "No such file");
  refused("no-such-command-anywhere", ErrorKind::kNotFound, "command not found");
  refused("", ErrorKind::kNotFound, "empty");
  refused(folder.path() + "/", ErrorKind::kPermission, "Is a directory");
  refused(program("plain", elf_file(kGlibc), 0644), ErrorKind::kPermission, "Permission denied");
  refused(program("text", "echo hello\n"), ErrorKind::kPermission, "neither a program");
  refused(program("empty", ""), ErrorKind::kPermission, "neither a program");
}

BOOST_AUTO_TEST_CASE(static_programs) {
  refused(program("static", elf_file(nullptr)), ErrorKind::kRefused, "statically linked");
  refused(program("static-exec", elf_file(nullptr, ELFCLASS64, EM_X86_64, ET_EXEC)),
          ErrorKind::kRefused, "statically linked");
}

BOOST_AUTO_TEST_CASE(other_machines_and_libraries) {
  refused(program("musl", elf_file("/lib/ld-musl-x86_64.so.1")), ErrorKind::kRefused, "ld-musl");
  refused(program("i386", elf_file(kGlibc, ELFCLASS32, EM_386)), ErrorKind::kRefused, "32-bit");
  refused(program("arm", elf_file(kGlibc, ELFCLASS64, EM_AARCH64)), ErrorKind::kRefused, "x86-64");
  refused(program("object", elf_file(kGlibc, ELFCLASS64, EM_X86_64, ET_REL)), ErrorKind::kRefused,
          "not a program");
}

BOOST_AUTO_TEST_CASE(damaged_programs) {
  std::string whole = elf_file(kGlibc);
  refused(program("cut", whole.substr(0, 40)), ErrorKind::kRefused, "truncated");
  refused(program("cut-later", whole.substr(0, 70)), ErrorKind::kRefused, "truncated");
  std::string many = whole;
  many[offsetof(Elf64_Ehdr, e_phnum) + 1] = '\x7f';
  refused(program("many", many), ErrorKind::kRefused, "damaged");
  std::string long_loader = whole;
  long_loader[sizeof(Elf64_Ehdr) + offsetof(Elf64_Phdr, p_filesz) + 3] = '\x7f';
  refused(program("long", long_loader), ErrorKind::kRefused, "loader");
}

BOOST_AUTO_TEST_CASE(privileged_programs) {
  refused(program("setuid", elf_file(kGlibc), 04755), ErrorKind::kRefused, "setuid");
  refused(program("setgid", elf_file(kGlibc), 02755), ErrorKind::kRefused, "setgid");
}

BOOST_AUTO_TEST_CASE(scripts_are_followed) {
  BOOST_TEST(preflight(program("good", "#!/bin/sh\n"), "").ok());
  BOOST_TEST(preflight(program("env", "#! /usr/bin/env sh -x\n"), "/usr/bin:/bin").ok());
  std::string fixed = program("fixed", elf_file(nullptr));
  refused(program("script", "#!" + fixed + " -x\n"), ErrorKind::kRefused, "statically linked");
  refused(program("by-env", "#!/usr/bin/env -S A=1 " + fixed + "\n"), ErrorKind::kRefused,
          "statically linked");
  refused(program("dangling", "#!/no/such/interpreter\n"), ErrorKind::kNotFound, "dangling");
  refused(program("bare", "#!"), ErrorKind::kNotFound, "bare");
  std::string itself = folder.file("itself");
  refused(program("itself", "#!" + itself + "\n"), ErrorKind::kPermission, "too many scripts");
}

BOOST_AUTO_TEST_SUITE_END()
