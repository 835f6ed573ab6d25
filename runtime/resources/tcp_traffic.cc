#include "runtime/resources/tcp_traffic.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>

#include <cstring>

#include "runtime/resources/inet_socket.h"

namespace ck::resources {
namespace {

constexpr char kLibrary[] = "libnftables.so.1";

// Of libnftables(3), as far as it is used here.
struct Library {
  void* (*make)(std::uint32_t flags) = nullptr;
  void (*free)(void* context) = nullptr;
  int (*run)(void* context, const char* commands) = nullptr;
  int (*buffer_error)(void* context) = nullptr;
  const char* (*error)(void* context) = nullptr;

  static const Library& get() {
    static const Library library = load();
    return library;
  }
  bool loaded() const { return make && free && run && buffer_error && error; }

 private:
  static Library load() {
    Library library;
    void* handle = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) return library;
    const auto find = [handle](const char* name, auto& function) {
      function =
          reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(handle, name));
    };
    find("nft_ctx_new", library.make);
    find("nft_ctx_free", library.free);
    find("nft_run_cmd_from_buffer", library.run);
    find("nft_ctx_buffer_error", library.buffer_error);
    find("nft_ctx_get_error_buffer", library.error);
    return library;
  }
};

Status run(const std::string& commands) {
  const Library& library = Library::get();
  if (!library.loaded())
    return make_error(ErrorKind::kRefused, std::string(kLibrary) + " is not there",
                      "install libnftables1, or choose another way with --tcp");
  void* context = library.make(0);
  if (context == nullptr) return make_error(ErrorKind::kSystem, "libnftables does not start");
  library.buffer_error(context);
  std::string failure;
  if (library.run(context, commands.c_str()) != 0) failure = library.error(context);
  library.free(context);
  if (failure.empty()) return {};
  failure.resize(failure.find('\n') == failure.npos ? failure.size() : failure.find('\n'));
  return make_error(ErrorKind::kPermission, "set the firewall: " + failure,
                    "--tcp=repair needs root (CAP_NET_ADMIN)");
}

struct End {
  std::string family;  // as nft has it
  std::string address;
  int port = 0;
};

End end_of(const std::string& bytes) {
  const sockaddr_storage address = to_sockaddr(bytes);
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& four = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &four.sin_addr, text, sizeof text);
    return {"ip", text, ntohs(four.sin_port)};
  }
  const auto& six = reinterpret_cast<const sockaddr_in6&>(address);
  if (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr)) {
    ::inet_ntop(AF_INET, &six.sin6_addr.s6_addr[12], text, sizeof text);
    return {"ip", text, ntohs(six.sin6_port)};
  }
  ::inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof text);
  return {"ip6", text, ntohs(six.sin6_port)};
}

std::string drop(const std::string& table, const char* chain, const End& from, const End& to) {
  return "add rule inet " + table + " " + chain + " " + from.family + " saddr " + from.address +
         " " + to.family + " daddr " + to.address + " tcp sport " + std::to_string(from.port) +
         " tcp dport " + std::to_string(to.port) + " drop\n";
}

std::string chain(const std::string& table, const char* name, const char* hook) {
  return "add chain inet " + table + " " + name + " { type filter hook " + hook +
         " priority -300 ; }\n";
}

}  // namespace

Status stop_traffic(const std::string& table, const std::string& local, const std::string& remote) {
  const End here = end_of(local);
  const End there = end_of(remote);
  return run("add table inet " + table + "\n" + chain(table, "in", "input") +
             chain(table, "out", "output") + drop(table, "in", there, here) +
             drop(table, "out", here, there));
}

// `add` first: `delete` of what is not there fails.
Status let_traffic_pass(const std::string& table) {
  return run("add table inet " + table + "\ndelete table inet " + table + "\n");
}

}  // namespace ck::resources
