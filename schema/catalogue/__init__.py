"""Every entity, declared: modules of declarations and nothing else. `schema.entities` gathers them."""
