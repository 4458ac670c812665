"""MQTT 5 between the gateway and its collectors: topics, one client adapter, receipts, the publisher."""

from pipeline.mqtt.errors import LinkLostError, PublishRefusedError, PublishTooLargeError
from pipeline.mqtt.held import Delivery
from pipeline.mqtt.link import Link
from pipeline.mqtt.publisher import Publisher
from pipeline.mqtt.questions import Questions
from pipeline.mqtt.receipt import Receipt, open_receipt, seal_receipt
from pipeline.mqtt.reconnect import keep_connected
from pipeline.mqtt.settings import MqttSettings
from pipeline.mqtt.topics import Topics

__all__ = [
    "Delivery", "Link", "LinkLostError", "MqttSettings", "PublishRefusedError", "PublishTooLargeError",
    "Publisher", "Questions", "Receipt", "Topics", "keep_connected", "open_receipt", "seal_receipt",
]  # fmt: skip
