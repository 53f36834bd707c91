from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_COORDINATOR: _ClassVar[Role]
    ROLE_NODE: _ClassVar[Role]
    ROLE_ANALYST: _ClassVar[Role]
    ROLE_REGISTRAR: _ClassVar[Role]

class Trust(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRUST_UNSPECIFIED: _ClassVar[Trust]
    TRUST_NONE: _ClassVar[Trust]
    TRUST_FIFTH: _ClassVar[Trust]
    TRUST_THIRD: _ClassVar[Trust]

class Note(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NOTE_UNSPECIFIED: _ClassVar[Note]
    NOTE_OWN_ROW_WITHHELD: _ClassVar[Note]
    NOTE_TABLE_ABSENT: _ClassVar[Note]
    NOTE_WITHHELD_POLICY: _ClassVar[Note]
    NOTE_WITHHELD_COST: _ClassVar[Note]
    NOTE_SOME_TABLES_ABSENT: _ClassVar[Note]
    NOTE_WITHHELD_BUDGET: _ClassVar[Note]
    NOTE_WITHHELD_APPROVAL: _ClassVar[Note]
    NOTE_PAUSED: _ClassVar[Note]

class Stand(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STAND_UNSPECIFIED: _ClassVar[Stand]
    STAND_READY: _ClassVar[Stand]
    STAND_HELD: _ClassVar[Stand]
    STAND_DENIED: _ClassVar[Stand]

class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATE_UNSPECIFIED: _ClassVar[State]
    STATE_WAITING: _ClassVar[State]
    STATE_RUNNING: _ClassVar[State]
    STATE_ANSWERED: _ClassVar[State]
    STATE_FAILED: _ClassVar[State]
    STATE_CANCELLED: _ClassVar[State]
    STATE_EXPIRED: _ClassVar[State]
ROLE_UNSPECIFIED: Role
ROLE_COORDINATOR: Role
ROLE_NODE: Role
ROLE_ANALYST: Role
ROLE_REGISTRAR: Role
TRUST_UNSPECIFIED: Trust
TRUST_NONE: Trust
TRUST_FIFTH: Trust
TRUST_THIRD: Trust
NOTE_UNSPECIFIED: Note
NOTE_OWN_ROW_WITHHELD: Note
NOTE_TABLE_ABSENT: Note
NOTE_WITHHELD_POLICY: Note
NOTE_WITHHELD_COST: Note
NOTE_SOME_TABLES_ABSENT: Note
NOTE_WITHHELD_BUDGET: Note
NOTE_WITHHELD_APPROVAL: Note
NOTE_PAUSED: Note
STAND_UNSPECIFIED: Stand
STAND_READY: Stand
STAND_HELD: Stand
STAND_DENIED: Stand
STATE_UNSPECIFIED: State
STATE_WAITING: State
STATE_RUNNING: State
STATE_ANSWERED: State
STATE_FAILED: State
STATE_CANCELLED: State
STATE_EXPIRED: State

class Signed(_message.Message):
    __slots__ = ("suite", "kind", "signer", "body", "signature")
    SUITE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    suite: int
    kind: str
    signer: str
    body: bytes
    signature: bytes
    def __init__(self, suite: _Optional[int] = ..., kind: _Optional[str] = ..., signer: _Optional[str] = ..., body: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Attribute(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("id", "role", "identity_key", "certificate_digest", "label_en", "label_zh", "attributes", "joined_at", "expires_at", "mandate")
    ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LABEL_EN_FIELD_NUMBER: _ClassVar[int]
    LABEL_ZH_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    JOINED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    MANDATE_FIELD_NUMBER: _ClassVar[int]
    id: str
    role: Role
    identity_key: bytes
    certificate_digest: bytes
    label_en: str
    label_zh: str
    attributes: _containers.RepeatedCompositeFieldContainer[Attribute]
    joined_at: int
    expires_at: int
    mandate: Mandate
    def __init__(self, id: _Optional[str] = ..., role: _Optional[_Union[Role, str]] = ..., identity_key: _Optional[bytes] = ..., certificate_digest: _Optional[bytes] = ..., label_en: _Optional[str] = ..., label_zh: _Optional[str] = ..., attributes: _Optional[_Iterable[_Union[Attribute, _Mapping]]] = ..., joined_at: _Optional[int] = ..., expires_at: _Optional[int] = ..., mandate: _Optional[_Union[Mandate, _Mapping]] = ...) -> None: ...

class Mandate(_message.Message):
    __slots__ = ("authority", "regions", "purposes", "tables", "project", "expires_at")
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    PURPOSES_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    authority: str
    regions: _containers.RepeatedScalarFieldContainer[str]
    purposes: _containers.RepeatedScalarFieldContainer[str]
    tables: _containers.RepeatedScalarFieldContainer[str]
    project: str
    expires_at: int
    def __init__(self, authority: _Optional[str] = ..., regions: _Optional[_Iterable[str]] = ..., purposes: _Optional[_Iterable[str]] = ..., tables: _Optional[_Iterable[str]] = ..., project: _Optional[str] = ..., expires_at: _Optional[int] = ...) -> None: ...

class Roster(_message.Message):
    __slots__ = ("federation", "version", "issued_at", "catalogue_digest", "members")
    FEDERATION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ISSUED_AT_FIELD_NUMBER: _ClassVar[int]
    CATALOGUE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    federation: str
    version: int
    issued_at: int
    catalogue_digest: bytes
    members: _containers.RepeatedCompositeFieldContainer[Member]
    def __init__(self, federation: _Optional[str] = ..., version: _Optional[int] = ..., issued_at: _Optional[int] = ..., catalogue_digest: _Optional[bytes] = ..., members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("federation", "id", "plan", "view", "rho_units", "sites", "minimum", "purpose", "created_at", "expires_at", "statement", "fresh", "trust", "reason", "pack", "by_residence", "patience", "run")
    FEDERATION_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    RHO_UNITS_FIELD_NUMBER: _ClassVar[int]
    SITES_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    FRESH_FIELD_NUMBER: _ClassVar[int]
    TRUST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PACK_FIELD_NUMBER: _ClassVar[int]
    BY_RESIDENCE_FIELD_NUMBER: _ClassVar[int]
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    federation: str
    id: bytes
    plan: bytes
    view: bytes
    rho_units: int
    sites: _containers.RepeatedScalarFieldContainer[str]
    minimum: int
    purpose: str
    created_at: int
    expires_at: int
    statement: str
    fresh: bool
    trust: Trust
    reason: str
    pack: bytes
    by_residence: bool
    patience: int
    run: Run
    def __init__(self, federation: _Optional[str] = ..., id: _Optional[bytes] = ..., plan: _Optional[bytes] = ..., view: _Optional[bytes] = ..., rho_units: _Optional[int] = ..., sites: _Optional[_Iterable[str]] = ..., minimum: _Optional[int] = ..., purpose: _Optional[str] = ..., created_at: _Optional[int] = ..., expires_at: _Optional[int] = ..., statement: _Optional[str] = ..., fresh: _Optional[bool] = ..., trust: _Optional[_Union[Trust, str]] = ..., reason: _Optional[str] = ..., pack: _Optional[bytes] = ..., by_residence: _Optional[bool] = ..., patience: _Optional[int] = ..., run: _Optional[_Union[Run, _Mapping]] = ...) -> None: ...

class Run(_message.Message):
    __slots__ = ("id", "design", "round", "rounds", "rho_units")
    ID_FIELD_NUMBER: _ClassVar[int]
    DESIGN_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    RHO_UNITS_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    design: bytes
    round: int
    rounds: int
    rho_units: int
    def __init__(self, id: _Optional[bytes] = ..., design: _Optional[bytes] = ..., round: _Optional[int] = ..., rounds: _Optional[int] = ..., rho_units: _Optional[int] = ...) -> None: ...

class Announcement(_message.Message):
    __slots__ = ("federation", "epoch", "slot", "request", "contributors", "minimum", "honest", "deadline", "roster", "freeze", "colluders")
    FEDERATION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTORS_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    HONEST_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    FREEZE_FIELD_NUMBER: _ClassVar[int]
    COLLUDERS_FIELD_NUMBER: _ClassVar[int]
    federation: str
    epoch: int
    slot: int
    request: bytes
    contributors: _containers.RepeatedScalarFieldContainer[str]
    minimum: int
    honest: int
    deadline: int
    roster: int
    freeze: bytes
    colluders: int
    def __init__(self, federation: _Optional[str] = ..., epoch: _Optional[int] = ..., slot: _Optional[int] = ..., request: _Optional[bytes] = ..., contributors: _Optional[_Iterable[str]] = ..., minimum: _Optional[int] = ..., honest: _Optional[int] = ..., deadline: _Optional[int] = ..., roster: _Optional[int] = ..., freeze: _Optional[bytes] = ..., colluders: _Optional[int] = ...) -> None: ...

class Upload(_message.Message):
    __slots__ = ("announcement", "vector", "notes", "salt", "sealed", "minimum_cell", "blob")
    ANNOUNCEMENT_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_CELL_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    announcement: bytes
    vector: bytes
    notes: _containers.RepeatedScalarFieldContainer[Note]
    salt: bytes
    sealed: bytes
    minimum_cell: int
    blob: Blob
    def __init__(self, announcement: _Optional[bytes] = ..., vector: _Optional[bytes] = ..., notes: _Optional[_Iterable[_Union[Note, str]]] = ..., salt: _Optional[bytes] = ..., sealed: _Optional[bytes] = ..., minimum_cell: _Optional[int] = ..., blob: _Optional[_Union[Blob, _Mapping]] = ...) -> None: ...

class Blob(_message.Message):
    __slots__ = ("digest", "size")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    size: int
    def __init__(self, digest: _Optional[bytes] = ..., size: _Optional[int] = ...) -> None: ...

class Release(_message.Message):
    __slots__ = ("federation", "id", "announcement", "vector", "contributors", "contributions", "released_at", "seconds", "masks", "blob")
    FEDERATION_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    ANNOUNCEMENT_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTORS_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    RELEASED_AT_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    MASKS_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    federation: str
    id: bytes
    announcement: bytes
    vector: bytes
    contributors: _containers.RepeatedScalarFieldContainer[str]
    contributions: _containers.RepeatedCompositeFieldContainer[Contribution]
    released_at: int
    seconds: float
    masks: str
    blob: Blob
    def __init__(self, federation: _Optional[str] = ..., id: _Optional[bytes] = ..., announcement: _Optional[bytes] = ..., vector: _Optional[bytes] = ..., contributors: _Optional[_Iterable[str]] = ..., contributions: _Optional[_Iterable[_Union[Contribution, _Mapping]]] = ..., released_at: _Optional[int] = ..., seconds: _Optional[float] = ..., masks: _Optional[str] = ..., blob: _Optional[_Union[Blob, _Mapping]] = ...) -> None: ...

class Contribution(_message.Message):
    __slots__ = ("site", "notes", "minimum_cell")
    SITE_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_CELL_FIELD_NUMBER: _ClassVar[int]
    site: str
    notes: _containers.RepeatedScalarFieldContainer[Note]
    minimum_cell: int
    def __init__(self, site: _Optional[str] = ..., notes: _Optional[_Iterable[_Union[Note, str]]] = ..., minimum_cell: _Optional[int] = ...) -> None: ...

class EpochKey(_message.Message):
    __slots__ = ("federation", "epoch", "exchange_key", "roster")
    FEDERATION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_KEY_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    federation: str
    epoch: int
    exchange_key: bytes
    roster: bytes
    def __init__(self, federation: _Optional[str] = ..., epoch: _Optional[int] = ..., exchange_key: _Optional[bytes] = ..., roster: _Optional[bytes] = ...) -> None: ...

class Freeze(_message.Message):
    __slots__ = ("epoch", "keys", "pulse")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    PULSE_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    keys: _containers.RepeatedCompositeFieldContainer[Signed]
    pulse: bytes
    def __init__(self, epoch: _Optional[int] = ..., keys: _Optional[_Iterable[_Union[Signed, _Mapping]]] = ..., pulse: _Optional[bytes] = ...) -> None: ...

class Deposit(_message.Message):
    __slots__ = ("freeze", "slot", "salt", "sealed", "backups")
    FREEZE_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    BACKUPS_FIELD_NUMBER: _ClassVar[int]
    freeze: bytes
    slot: int
    salt: bytes
    sealed: bytes
    backups: bytes
    def __init__(self, freeze: _Optional[bytes] = ..., slot: _Optional[int] = ..., salt: _Optional[bytes] = ..., sealed: _Optional[bytes] = ..., backups: _Optional[bytes] = ...) -> None: ...

class Deposits(_message.Message):
    __slots__ = ("deposits",)
    DEPOSITS_FIELD_NUMBER: _ClassVar[int]
    deposits: _containers.RepeatedCompositeFieldContainer[Deposit]
    def __init__(self, deposits: _Optional[_Iterable[_Union[Deposit, _Mapping]]] = ...) -> None: ...

class OpenEpoch(_message.Message):
    __slots__ = ("epoch", "roster")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    roster: int
    def __init__(self, epoch: _Optional[int] = ..., roster: _Optional[int] = ...) -> None: ...

class Confirm(_message.Message):
    __slots__ = ("announcement", "survivors")
    ANNOUNCEMENT_FIELD_NUMBER: _ClassVar[int]
    SURVIVORS_FIELD_NUMBER: _ClassVar[int]
    announcement: bytes
    survivors: bytes
    def __init__(self, announcement: _Optional[bytes] = ..., survivors: _Optional[bytes] = ...) -> None: ...

class Confirmation(_message.Message):
    __slots__ = ("announcement", "signed")
    ANNOUNCEMENT_FIELD_NUMBER: _ClassVar[int]
    SIGNED_FIELD_NUMBER: _ClassVar[int]
    announcement: bytes
    signed: Signed
    def __init__(self, announcement: _Optional[bytes] = ..., signed: _Optional[_Union[Signed, _Mapping]] = ...) -> None: ...

class WitnessSignature(_message.Message):
    __slots__ = ("witness", "signature")
    WITNESS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    witness: int
    signature: bytes
    def __init__(self, witness: _Optional[int] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Unmask(_message.Message):
    __slots__ = ("announcement", "survivors", "confirmations", "sealed")
    ANNOUNCEMENT_FIELD_NUMBER: _ClassVar[int]
    SURVIVORS_FIELD_NUMBER: _ClassVar[int]
    CONFIRMATIONS_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    announcement: bytes
    survivors: bytes
    confirmations: _containers.RepeatedCompositeFieldContainer[WitnessSignature]
    sealed: bytes
    def __init__(self, announcement: _Optional[bytes] = ..., survivors: _Optional[bytes] = ..., confirmations: _Optional[_Iterable[_Union[WitnessSignature, _Mapping]]] = ..., sealed: _Optional[bytes] = ...) -> None: ...

class Shares(_message.Message):
    __slots__ = ("announcement", "shares")
    ANNOUNCEMENT_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    announcement: bytes
    shares: bytes
    def __init__(self, announcement: _Optional[bytes] = ..., shares: _Optional[bytes] = ...) -> None: ...

class Checkpoint(_message.Message):
    __slots__ = ("federation", "member", "size", "root", "charges", "ledger", "at", "previous", "consistency")
    FEDERATION_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    CHARGES_FIELD_NUMBER: _ClassVar[int]
    LEDGER_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    federation: str
    member: str
    size: int
    root: bytes
    charges: int
    ledger: bytes
    at: int
    previous: int
    consistency: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, federation: _Optional[str] = ..., member: _Optional[str] = ..., size: _Optional[int] = ..., root: _Optional[bytes] = ..., charges: _Optional[int] = ..., ledger: _Optional[bytes] = ..., at: _Optional[int] = ..., previous: _Optional[int] = ..., consistency: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Witness(_message.Message):
    __slots__ = ("checkpoint", "keeper", "at")
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    KEEPER_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    checkpoint: bytes
    keeper: str
    at: int
    def __init__(self, checkpoint: _Optional[bytes] = ..., keeper: _Optional[str] = ..., at: _Optional[int] = ...) -> None: ...

class Heads(_message.Message):
    __slots__ = ("checkpoints",)
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    checkpoints: _containers.RepeatedCompositeFieldContainer[Signed]
    def __init__(self, checkpoints: _Optional[_Iterable[_Union[Signed, _Mapping]]] = ...) -> None: ...

class Logged(_message.Message):
    __slots__ = ("number", "kind", "at", "facts", "previous", "inclusion")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    INCLUSION_FIELD_NUMBER: _ClassVar[int]
    number: int
    kind: str
    at: int
    facts: str
    previous: bytes
    inclusion: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, number: _Optional[int] = ..., kind: _Optional[str] = ..., at: _Optional[int] = ..., facts: _Optional[str] = ..., previous: _Optional[bytes] = ..., inclusion: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("announcement", "entries", "checkpoint")
    ANNOUNCEMENT_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    announcement: bytes
    entries: _containers.RepeatedCompositeFieldContainer[Logged]
    checkpoint: Signed
    def __init__(self, announcement: _Optional[bytes] = ..., entries: _Optional[_Iterable[_Union[Logged, _Mapping]]] = ..., checkpoint: _Optional[_Union[Signed, _Mapping]] = ...) -> None: ...

class HospitalReceipt(_message.Message):
    __slots__ = ("site", "receipt")
    SITE_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    site: str
    receipt: Receipt
    def __init__(self, site: _Optional[str] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ...) -> None: ...

class Evidence(_message.Message):
    __slots__ = ("release", "roster", "catalogue", "receipts", "coordinator", "witnesses", "vector")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    CATALOGUE_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_FIELD_NUMBER: _ClassVar[int]
    WITNESSES_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    release: Signed
    roster: Signed
    catalogue: bytes
    receipts: _containers.RepeatedCompositeFieldContainer[HospitalReceipt]
    coordinator: Receipt
    witnesses: _containers.RepeatedCompositeFieldContainer[Signed]
    vector: bytes
    def __init__(self, release: _Optional[_Union[Signed, _Mapping]] = ..., roster: _Optional[_Union[Signed, _Mapping]] = ..., catalogue: _Optional[bytes] = ..., receipts: _Optional[_Iterable[_Union[HospitalReceipt, _Mapping]]] = ..., coordinator: _Optional[_Union[Receipt, _Mapping]] = ..., witnesses: _Optional[_Iterable[_Union[Signed, _Mapping]]] = ..., vector: _Optional[bytes] = ...) -> None: ...

class BlobOffer(_message.Message):
    __slots__ = ("blob", "announcement")
    BLOB_FIELD_NUMBER: _ClassVar[int]
    ANNOUNCEMENT_FIELD_NUMBER: _ClassVar[int]
    blob: Blob
    announcement: bytes
    def __init__(self, blob: _Optional[_Union[Blob, _Mapping]] = ..., announcement: _Optional[bytes] = ...) -> None: ...

class BlobHeld(_message.Message):
    __slots__ = ("size",)
    SIZE_FIELD_NUMBER: _ClassVar[int]
    size: int
    def __init__(self, size: _Optional[int] = ...) -> None: ...

class BlobPart(_message.Message):
    __slots__ = ("offer", "offset", "data")
    OFFER_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    offer: BlobOffer
    offset: int
    data: bytes
    def __init__(self, offer: _Optional[_Union[BlobOffer, _Mapping]] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class BlobWanted(_message.Message):
    __slots__ = ("digest", "offset", "release")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    offset: int
    release: bytes
    def __init__(self, digest: _Optional[bytes] = ..., offset: _Optional[int] = ..., release: _Optional[bytes] = ...) -> None: ...

class NodeStatus(_message.Message):
    __slots__ = ("lifetime_units", "remaining_units", "tables", "loaded", "holds", "paused")
    LIFETIME_UNITS_FIELD_NUMBER: _ClassVar[int]
    REMAINING_UNITS_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    LOADED_FIELD_NUMBER: _ClassVar[int]
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    lifetime_units: int
    remaining_units: int
    tables: _containers.RepeatedScalarFieldContainer[str]
    loaded: _containers.RepeatedCompositeFieldContainer[LoadedThrough]
    holds: bool
    paused: bool
    def __init__(self, lifetime_units: _Optional[int] = ..., remaining_units: _Optional[int] = ..., tables: _Optional[_Iterable[str]] = ..., loaded: _Optional[_Iterable[_Union[LoadedThrough, _Mapping]]] = ..., holds: _Optional[bool] = ..., paused: _Optional[bool] = ...) -> None: ...

class LoadedThrough(_message.Message):
    __slots__ = ("table", "day")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    table: str
    day: str
    def __init__(self, table: _Optional[str] = ..., day: _Optional[str] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol", "software", "roster_version", "status", "epoch")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    ROSTER_VERSION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    software: str
    roster_version: int
    status: NodeStatus
    epoch: int
    def __init__(self, protocol: _Optional[int] = ..., software: _Optional[str] = ..., roster_version: _Optional[int] = ..., status: _Optional[_Union[NodeStatus, _Mapping]] = ..., epoch: _Optional[int] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("announcement", "code", "reference")
    ANNOUNCEMENT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    announcement: bytes
    code: str
    reference: str
    def __init__(self, announcement: _Optional[bytes] = ..., code: _Optional[str] = ..., reference: _Optional[str] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("request", "stand", "reference")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    STAND_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    stand: Stand
    reference: str
    def __init__(self, request: _Optional[bytes] = ..., stand: _Optional[_Union[Stand, str]] = ..., reference: _Optional[str] = ...) -> None: ...

class NodeMessage(_message.Message):
    __slots__ = ("hello", "upload", "refusal", "status", "epoch_key", "deposits", "confirmation", "shares", "verdict", "checkpoint", "receipt", "witness")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_KEY_FIELD_NUMBER: _ClassVar[int]
    DEPOSITS_FIELD_NUMBER: _ClassVar[int]
    CONFIRMATION_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    WITNESS_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    upload: Signed
    refusal: Refusal
    status: NodeStatus
    epoch_key: Signed
    deposits: Deposits
    confirmation: Confirmation
    shares: Shares
    verdict: Verdict
    checkpoint: Signed
    receipt: Receipt
    witness: Signed
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., upload: _Optional[_Union[Signed, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ..., status: _Optional[_Union[NodeStatus, _Mapping]] = ..., epoch_key: _Optional[_Union[Signed, _Mapping]] = ..., deposits: _Optional[_Union[Deposits, _Mapping]] = ..., confirmation: _Optional[_Union[Confirmation, _Mapping]] = ..., shares: _Optional[_Union[Shares, _Mapping]] = ..., verdict: _Optional[_Union[Verdict, _Mapping]] = ..., checkpoint: _Optional[_Union[Signed, _Mapping]] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ..., witness: _Optional[_Union[Signed, _Mapping]] = ...) -> None: ...

class Proposal(_message.Message):
    __slots__ = ("request", "ended")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    request: Signed
    ended: bytes
    def __init__(self, request: _Optional[_Union[Signed, _Mapping]] = ..., ended: _Optional[bytes] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("protocol", "roster", "catalogue")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    CATALOGUE_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    roster: Signed
    catalogue: bytes
    def __init__(self, protocol: _Optional[int] = ..., roster: _Optional[_Union[Signed, _Mapping]] = ..., catalogue: _Optional[bytes] = ...) -> None: ...

class Closing(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class CoordinatorMessage(_message.Message):
    __slots__ = ("welcome", "roster", "announcement", "release", "closing", "open_epoch", "freeze", "confirm", "unmask", "proposal", "heads")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    ANNOUNCEMENT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    CLOSING_FIELD_NUMBER: _ClassVar[int]
    OPEN_EPOCH_FIELD_NUMBER: _ClassVar[int]
    FREEZE_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_FIELD_NUMBER: _ClassVar[int]
    UNMASK_FIELD_NUMBER: _ClassVar[int]
    PROPOSAL_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    roster: Signed
    announcement: Signed
    release: Signed
    closing: Closing
    open_epoch: OpenEpoch
    freeze: Freeze
    confirm: Confirm
    unmask: Unmask
    proposal: Proposal
    heads: Heads
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., roster: _Optional[_Union[Signed, _Mapping]] = ..., announcement: _Optional[_Union[Signed, _Mapping]] = ..., release: _Optional[_Union[Signed, _Mapping]] = ..., closing: _Optional[_Union[Closing, _Mapping]] = ..., open_epoch: _Optional[_Union[OpenEpoch, _Mapping]] = ..., freeze: _Optional[_Union[Freeze, _Mapping]] = ..., confirm: _Optional[_Union[Confirm, _Mapping]] = ..., unmask: _Optional[_Union[Unmask, _Mapping]] = ..., proposal: _Optional[_Union[Proposal, _Mapping]] = ..., heads: _Optional[_Union[Heads, _Mapping]] = ...) -> None: ...

class Nothing(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NodeView(_message.Message):
    __slots__ = ("site", "connected", "status", "last_seen")
    SITE_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_FIELD_NUMBER: _ClassVar[int]
    site: str
    connected: bool
    status: NodeStatus
    last_seen: int
    def __init__(self, site: _Optional[str] = ..., connected: _Optional[bool] = ..., status: _Optional[_Union[NodeStatus, _Mapping]] = ..., last_seen: _Optional[int] = ...) -> None: ...

class Description(_message.Message):
    __slots__ = ("roster", "catalogue", "nodes", "protocol")
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    CATALOGUE_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    roster: Signed
    catalogue: bytes
    nodes: _containers.RepeatedCompositeFieldContainer[NodeView]
    protocol: int
    def __init__(self, roster: _Optional[_Union[Signed, _Mapping]] = ..., catalogue: _Optional[bytes] = ..., nodes: _Optional[_Iterable[_Union[NodeView, _Mapping]]] = ..., protocol: _Optional[int] = ...) -> None: ...

class SiteProgress(_message.Message):
    __slots__ = ("site", "state", "reference")
    SITE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    site: str
    state: str
    reference: str
    def __init__(self, site: _Optional[str] = ..., state: _Optional[str] = ..., reference: _Optional[str] = ...) -> None: ...

class RequestStatus(_message.Message):
    __slots__ = ("id", "state", "analyst", "statement", "purpose", "rho_units", "created_at", "updated_at", "expires_at", "asked", "connected", "answered", "needed", "sites", "code", "release", "reused", "held", "reason", "run", "queued")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ANALYST_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    RHO_UNITS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    NEEDED_FIELD_NUMBER: _ClassVar[int]
    SITES_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    REUSED_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    state: State
    analyst: str
    statement: str
    purpose: str
    rho_units: int
    created_at: int
    updated_at: int
    expires_at: int
    asked: int
    connected: int
    answered: int
    needed: int
    sites: _containers.RepeatedCompositeFieldContainer[SiteProgress]
    code: str
    release: bytes
    reused: bool
    held: int
    reason: str
    run: Run
    queued: bool
    def __init__(self, id: _Optional[bytes] = ..., state: _Optional[_Union[State, str]] = ..., analyst: _Optional[str] = ..., statement: _Optional[str] = ..., purpose: _Optional[str] = ..., rho_units: _Optional[int] = ..., created_at: _Optional[int] = ..., updated_at: _Optional[int] = ..., expires_at: _Optional[int] = ..., asked: _Optional[int] = ..., connected: _Optional[int] = ..., answered: _Optional[int] = ..., needed: _Optional[int] = ..., sites: _Optional[_Iterable[_Union[SiteProgress, _Mapping]]] = ..., code: _Optional[str] = ..., release: _Optional[bytes] = ..., reused: _Optional[bool] = ..., held: _Optional[int] = ..., reason: _Optional[str] = ..., run: _Optional[_Union[Run, _Mapping]] = ..., queued: _Optional[bool] = ...) -> None: ...

class RequestId(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    def __init__(self, id: _Optional[bytes] = ...) -> None: ...

class RosterVersion(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: int
    def __init__(self, version: _Optional[int] = ...) -> None: ...

class RequestsWanted(_message.Message):
    __slots__ = ("most", "states", "before", "beginning")
    MOST_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    BEGINNING_FIELD_NUMBER: _ClassVar[int]
    most: int
    states: _containers.RepeatedScalarFieldContainer[State]
    before: bytes
    beginning: str
    def __init__(self, most: _Optional[int] = ..., states: _Optional[_Iterable[_Union[State, str]]] = ..., before: _Optional[bytes] = ..., beginning: _Optional[str] = ...) -> None: ...

class RequestStatuses(_message.Message):
    __slots__ = ("requests", "more")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[RequestStatus]
    more: bool
    def __init__(self, requests: _Optional[_Iterable[_Union[RequestStatus, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...

class Releases(_message.Message):
    __slots__ = ("releases",)
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    releases: _containers.RepeatedCompositeFieldContainer[Signed]
    def __init__(self, releases: _Optional[_Iterable[_Union[Signed, _Mapping]]] = ...) -> None: ...

class JoinToken(_message.Message):
    __slots__ = ("federation", "member", "role", "address", "ca_certificate", "registrar_key", "certificate", "key")
    FEDERATION_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CA_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    REGISTRAR_KEY_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    federation: str
    member: str
    role: Role
    address: str
    ca_certificate: bytes
    registrar_key: bytes
    certificate: bytes
    key: bytes
    def __init__(self, federation: _Optional[str] = ..., member: _Optional[str] = ..., role: _Optional[_Union[Role, str]] = ..., address: _Optional[str] = ..., ca_certificate: _Optional[bytes] = ..., registrar_key: _Optional[bytes] = ..., certificate: _Optional[bytes] = ..., key: _Optional[bytes] = ...) -> None: ...

class Application(_message.Message):
    __slots__ = ("federation", "id", "role", "identity_key", "certificate_request", "token", "possession")
    FEDERATION_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_REQUEST_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    POSSESSION_FIELD_NUMBER: _ClassVar[int]
    federation: str
    id: str
    role: Role
    identity_key: bytes
    certificate_request: bytes
    token: bytes
    possession: bytes
    def __init__(self, federation: _Optional[str] = ..., id: _Optional[str] = ..., role: _Optional[_Union[Role, str]] = ..., identity_key: _Optional[bytes] = ..., certificate_request: _Optional[bytes] = ..., token: _Optional[bytes] = ..., possession: _Optional[bytes] = ...) -> None: ...

class SignedApplication(_message.Message):
    __slots__ = ("body", "signature")
    BODY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    body: bytes
    signature: bytes
    def __init__(self, body: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Admission(_message.Message):
    __slots__ = ("admitted", "certificate", "roster", "catalogue", "refused")
    ADMITTED_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    CATALOGUE_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    admitted: bool
    certificate: bytes
    roster: Signed
    catalogue: bytes
    refused: str
    def __init__(self, admitted: _Optional[bool] = ..., certificate: _Optional[bytes] = ..., roster: _Optional[_Union[Signed, _Mapping]] = ..., catalogue: _Optional[bytes] = ..., refused: _Optional[str] = ...) -> None: ...

class Applications(_message.Message):
    __slots__ = ("waiting",)
    WAITING_FIELD_NUMBER: _ClassVar[int]
    waiting: _containers.RepeatedCompositeFieldContainer[SignedApplication]
    def __init__(self, waiting: _Optional[_Iterable[_Union[SignedApplication, _Mapping]]] = ...) -> None: ...

class AdmittedMember(_message.Message):
    __slots__ = ("token", "certificate", "refused")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    certificate: bytes
    refused: str
    def __init__(self, token: _Optional[bytes] = ..., certificate: _Optional[bytes] = ..., refused: _Optional[str] = ...) -> None: ...

class Publication(_message.Message):
    __slots__ = ("roster", "catalogue", "admitted")
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    CATALOGUE_FIELD_NUMBER: _ClassVar[int]
    ADMITTED_FIELD_NUMBER: _ClassVar[int]
    roster: Signed
    catalogue: bytes
    admitted: _containers.RepeatedCompositeFieldContainer[AdmittedMember]
    def __init__(self, roster: _Optional[_Union[Signed, _Mapping]] = ..., catalogue: _Optional[bytes] = ..., admitted: _Optional[_Iterable[_Union[AdmittedMember, _Mapping]]] = ...) -> None: ...
