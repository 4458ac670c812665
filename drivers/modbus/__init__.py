"""Modbus over TCP, UDP, RTU and ASCII lines: plan, exchange, check, decode.

Protocol: Modbus Application Protocol V1.1b3; Modbus over Serial Line V1.02; Modbus Messaging on TCP/IP V1.0b.
"""
