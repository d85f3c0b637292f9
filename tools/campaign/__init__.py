"""The reliability campaign: bad input by the thousand, and kills at random moments.

`python -m tools.campaign bad-input` and `python -m tools.campaign kill`; docs/reliability.md
has the results. Each leaves a record in metrics/campaign.
"""
