// How hosts and jobs of a cluster look in tables and JSON. Pure.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "driver/protocol/control.pb.h"

namespace ck::tools {

std::vector<std::string> host_heading();
std::vector<std::string> host_cells(const protocol::wire::HostRow& row);
boost::json::object host_json(const protocol::wire::HostRow& row);

std::vector<std::string> job_heading();
std::vector<std::string> job_cells(const std::string& host, const protocol::wire::JobRecord& job);
boost::json::object job_json(const std::string& host, const protocol::wire::JobRecord& job);

}  // namespace ck::tools
