"""Modbus TCP and RTU: plan, exchange, check, decode.

Protocol: Modbus Application Protocol V1.1b3; Modbus over Serial Line V1.02; Modbus Messaging on TCP/IP V1.0b.
"""

from drivers.modbus.instrument import build_modbus_rtu, build_modbus_tcp
from drivers.modbus.settings import ModbusChannel, ModbusRtuSettings, ModbusTcpSettings

__all__ = ["ModbusChannel", "ModbusRtuSettings", "ModbusTcpSettings", "build_modbus_rtu", "build_modbus_tcp"]
