"""What both sides of KVS know: requests, names, hosts, proxies, limits and refusals."""
