"""What tests of several areas share: real servers on free ports, guards against leaks."""
