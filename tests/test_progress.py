from kseg.progress import within


def test_parts_are_fractions_of_the_whole():
    seen = []
    part = within(lambda *at: seen.append(at), 3, 7)
    for done in (1, 2, 3, 4):
        part(done, 4)
    assert seen == [(3.25, 7), (3.5, 7), (3.75, 7)]


def test_nobody_listens():
    assert within(None, 3, 7) is None


def test_parts_of_parts():
    seen = []
    within(within(lambda *at: seen.append(at), 1, 4), 1, 2)(1, 2)
    assert seen == [(1.75, 4)]
