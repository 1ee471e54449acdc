"""Pipedrive's REST API for a made-up company, on loopback: `server.serve` starts it.

What follows is assumed: no document says it. What could well be otherwise can be chosen, by `view.Rules` or
`limits.Limits`, or by the company itself.

Lists
* Asked for more rows than a page may have, v2 refuses with 400 (or gives 500, by the rules); v1 gives its most.
* A cursor is a keyset marker, as the examples of the documentation are. It fits only the order that it was made in, and
  lives for ever unless the rules say otherwise; one that does not fit is refused with 400.
* In every order null comes first, and among equals the primary key decides. v1 lists without `sort` come in the order
  of their ids, leads and comments in that of their `add_time`, logs newest first.
* An unknown word in `status`, `sort_by` or `sort` is refused with 400; an unknown parameter is ignored, but for `type`
  of activities and the deltas of pipelines and stages.
* `/deals/installments` tells its next cursor like every other v2 list. Columns of `include_fields` may be asked of a
  get, too. A product without an image and a person without a picture answer 200 with null.
* Children of a parent that is gone or hidden are not found (404); asked for by `deal_ids`, they are still told.

Deletions
* What is deleted is told by the lists of deals and projects alone, on request, with `status` deleted and `is_deleted`;
  a get answers 404 (or tells it, by the rules). Products, pipelines and stages that were deleted are in no list.
* A delete moves no update time, but for the entities that `Company(bumped_by_delete=...)` names.
* Followers, participants and products of a deal move its counters, and neither its update time nor send an event.
* A deleted custom field takes its values with it, and no update time tells. A deleted option stays in the records.

Limits
* A request costs what its path does, even if it is answered with 4xx; one refused for its token or with 429, nothing.
* 429 has the envelope of every other error. The burst and the day are told apart by headers, if at all.
* After so many 429s in a row Cloudflare's page answers everything for a while.

Webhooks
* The probe of a new URL is a GET; any answer will do. A ban leaves `is_active` at 1, the deletion sets it to 0.
* Events of definitions are called `deal_field` and so on, and carry what v2 lists; the script sends none by itself.
* What the webhook's user may not see is told to nobody.
"""
