"""The protocol buffer of a TFRecord: tf.train.Example, as far as images need it."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import DecodeError

__all__ = ["DecodeError", "Example"]

# On the wire a map is a list of entries with key 1 and value 2.
SCHEMA = """
    name: "example.proto" package: "tfrecord" syntax: "proto3"
    message_type { name: "Bytes" field { name: "value" number: 1 type: TYPE_BYTES label: LABEL_REPEATED } }
    message_type { name: "Integers" field { name: "value" number: 1 type: TYPE_INT64 label: LABEL_REPEATED } }
    message_type {
      name: "Feature"
      field { name: "bytes" number: 1 type: TYPE_MESSAGE type_name: "Bytes" label: LABEL_OPTIONAL }
      field { name: "integers" number: 3 type: TYPE_MESSAGE type_name: "Integers" label: LABEL_OPTIONAL }
    }
    message_type {
      name: "Entry"
      field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
      field { name: "value" number: 2 type: TYPE_MESSAGE type_name: "Feature" label: LABEL_OPTIONAL }
    }
    message_type {
      name: "Features"
      field { name: "entries" number: 1 type: TYPE_MESSAGE type_name: "Entry" label: LABEL_REPEATED }
    }
    message_type {
      name: "Example"
      field { name: "features" number: 1 type: TYPE_MESSAGE type_name: "Features" label: LABEL_OPTIONAL }
    }
"""
_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(text_format.Parse(SCHEMA, descriptor_pb2.FileDescriptorProto()))
Example: Any = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("tfrecord.Example"))
