"""Every fault of an endpoint leads where it must: mended by another try, or written on the record."""

import pytest
from endpoint_faults import FAULTS, meet_all

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def met(tmp_path_factory):
    found = meet_all(tmp_path_factory.mktemp("faults"))
    return dict(zip((fault.name for fault in FAULTS), found, strict=True))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_leads_where_it_must(met, fault):
    passed, stayed = met[fault.name]
    assert passed.told.startswith(fault.passes)
    assert stayed.told.startswith(fault.stays)
    assert passed.num_requests <= 3
    assert stayed.num_requests <= 15
