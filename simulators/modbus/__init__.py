"""A Modbus server written from the specification, independent of the gateway's Modbus library.

Sources: MODBUS Application Protocol Specification V1.1b3; MODBUS Messaging on TCP/IP Implementation
Guide V1.0b; MODBUS over Serial Line V1.02.
"""
