"""The warehouses: jobs with `multi_tenant = True` run once for each of them."""

from pinstripe_bot import Tenant

WAREHOUSES = [
    Tenant("1", "Berlin", "Europe/Berlin", shelves=40),
    Tenant("2", "Boston", "America/New_York", shelves=25),
    Tenant("3", "Bengaluru", "Asia/Kolkata", shelves=60),
]


def tenants(workspace):
    return WAREHOUSES


def tenant(workspace, id):
    return next((warehouse for warehouse in WAREHOUSES if warehouse.id == id), None)
