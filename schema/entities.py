"""The entity catalogue: everything the mirror holds, each entity declared once in `schema.catalogue`.

The declaration drives decoding, DDL, reading and writing of rows, comparison and docs. A new entity is one
declaration there and one line here; one that events tell of has a sample in tests/samples, too. Columns are named in
the REST v2 vocabulary, where there is one, in the order Pipedrive documents them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from schema.catalogue import (
    activities,
    contacts,
    deals,
    definitions,
    leads,
    logs,
    mail,
    notes,
    people,
    products,
    projects,
    setup,
)
from schema.entity import Entity

ENTITIES: Final[tuple[Entity, ...]] = (
    definitions.DEAL_FIELD,
    definitions.PERSON_FIELD,
    definitions.ORGANIZATION_FIELD,
    definitions.PRODUCT_FIELD,
    definitions.ACTIVITY_FIELD,
    definitions.PROJECT_FIELD,
    definitions.LEAD_FIELD,
    definitions.NOTE_FIELD,
    people.USER,
    setup.CURRENCY,
    setup.PIPELINE,
    setup.STAGE,
    leads.LEAD_LABEL,
    leads.LEAD_SOURCE,
    activities.ACTIVITY_TYPE,
    projects.BOARD,
    projects.PHASE,
    projects.PROJECT_TEMPLATE,
    people.USER_FOLLOWER,
    people.USER_PERMISSION,
    people.ROLE,
    people.ROLE_ASSIGNMENT,
    people.PERMISSION_SET,
    people.PERMISSION_SET_ASSIGNMENT,
    people.TEAM,
    setup.FILTER,
    setup.GOAL,
    setup.WEBHOOK,
    setup.BILLING_ADDON,
    setup.USER_SETTING,
    setup.USER_CONNECTION,
    contacts.ORGANIZATION,
    contacts.PERSON,
    deals.DEAL,
    leads.LEAD,
    activities.ACTIVITY,
    products.PRODUCT,
    deals.DEAL_PRODUCT,
    deals.DEAL_INSTALLMENT,
    notes.NOTE,
    notes.FILE,
    projects.PROJECT,
    projects.TASK,
    activities.CALL_LOG,
    deals.DEAL_DISCOUNT,
    deals.DEAL_PARTICIPANT,
    deals.DEAL_FOLLOWER,
    contacts.PERSON_FOLLOWER,
    contacts.ORGANIZATION_FOLLOWER,
    products.PRODUCT_FOLLOWER,
    products.PRODUCT_VARIATION,
    products.PRODUCT_IMAGE,
    contacts.PERSON_PICTURE,
    contacts.ORGANIZATION_RELATIONSHIP,
    notes.NOTE_COMMENT,
    projects.PROJECT_GROUP,
    projects.PROJECT_PLAN_ITEM,
    mail.MAIL_THREAD,
    mail.MAIL_MESSAGE,
    logs.DEAL_CHANGE,
    logs.PERSON_CHANGE,
    logs.ORGANIZATION_CHANGE,
    logs.PROJECT_CHANGE,
    logs.PARTICIPANT_CHANGE,
    logs.FOLLOWER_CHANGE,
)
"""In the order in which a backfill reads them: definitions and setup, then parents before their children."""

BY_NAME: Final[Mapping[str, Entity]] = MappingProxyType({entity.name: entity for entity in ENTITIES})

HEARD: Final[Mapping[str, Entity]] = MappingProxyType({name: found for name, found in BY_NAME.items() if found.webhook})
"""Those that events tell of."""
