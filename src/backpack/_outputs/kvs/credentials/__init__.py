"""
Get AWS credentials and sign with them, in the application's process and nowhere else.

Loads nothing foreign: botocore is loaded by the threads that need it.
"""

from __future__ import annotations

from backpack._lib.secrets import Secret
from backpack._outputs.kvs.credentials.botocore_chain import require_botocore
from backpack._outputs.kvs.credentials.credentials import Credentials
from backpack._outputs.kvs.credentials.file import CredentialsFile
from backpack._outputs.kvs.credentials.handlers import (
    KVSCredentialsHandler,
    KVSEnvironmentCredentialsHandler,
    KVSFileCredentialsHandler,
    KVSInlineCredentialsHandler,
)
from backpack._outputs.kvs.credentials.iot import KVSIoTCredentialsHandler
from backpack._outputs.kvs.credentials.signer import Signer
from backpack._outputs.kvs.credentials.trouble import CredentialsError, SigningError

__all__ = [
    "Credentials",
    "CredentialsError",
    "CredentialsFile",
    "KVSCredentialsHandler",
    "KVSEnvironmentCredentialsHandler",
    "KVSFileCredentialsHandler",
    "KVSInlineCredentialsHandler",
    "KVSIoTCredentialsHandler",
    "Secret",
    "Signer",
    "SigningError",
    "require_botocore",
]
