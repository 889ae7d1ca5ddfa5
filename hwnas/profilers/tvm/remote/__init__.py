"""TVM on other machines, behind an RPC tracker."""
