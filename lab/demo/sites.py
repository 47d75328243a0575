"""Sites of the demo and the emulated values of their lines. All are invented; the places are in Auvergne."""

from dataclasses import dataclass, field

FLOOR_BPS = 8_000_000


@dataclass(frozen=True, slots=True)
class DemoDirection:
    """One direction of an emulated line: IP-layer bit/s, one-way delay and jitter in us, loss 0 to 1.

    Loss is before the bottleneck: the rate then is the true capacity.
    """

    rate_bps: int
    delay_us: int
    jitter_us: int = 0
    loss: float = 0.0


@dataclass(frozen=True, slots=True)
class DemoSite:
    """Site of the inventory. ``down`` and ``up`` are its line; a site without them has no agent yet."""

    site_id: str
    name: str
    category: str
    departement: str
    commune: str
    pop: str
    supplier: str
    latitude: float
    longitude: float
    down: DemoDirection | None = None
    up: DemoDirection | None = None
    dscps: dict[int, str] = field(default_factory=lambda: {0: "best-effort"})


@dataclass(frozen=True, slots=True)
class DemoLine:
    """Measured site with the two directions of its line."""

    site: DemoSite
    down: DemoDirection
    up: DemoDirection


SITES = (
    DemoSite(
        "0039001A", "Lycée des Quatre-Vents", "lycée", "03", "Moulins", "pop-moulins", "Opérateur A",
        46.5659, 3.3333,
        down=DemoDirection(20_000_000, delay_us=7_000, jitter_us=500),
        up=DemoDirection(20_000_000, delay_us=9_000, jitter_us=500),
    ),
    DemoSite(
        "0159002B", "Collège des Orgues", "collège", "15", "Saint-Flour", "pop-aurillac", "Opérateur A",
        45.0339, 3.0931,
        down=DemoDirection(8_400_000, delay_us=16_000),
        up=DemoDirection(8_400_000, delay_us=19_000),
    ),
    DemoSite(
        "430990003", "Hôpital de la Haute Vallée", "santé", "43", "Langeac", "pop-lepuy", "Opérateur B",
        45.0996, 3.4936,
        down=DemoDirection(50_000_000, delay_us=4_000),
        up=DemoDirection(50_000_000, delay_us=5_000),
        dscps={0: "best-effort", 46: "voice"},
    ),
    DemoSite(
        "63-coutellerie", "Coutellerie du Haut Pont", "entreprise", "63", "Thiers", "pop-clermont",
        "Opérateur C", 45.8563, 3.5476,
        down=DemoDirection(6_500_000, delay_us=24_000, loss=0.01),
        up=DemoDirection(6_500_000, delay_us=30_000, loss=0.01),
    ),
    DemoSite(
        "0639005C", "Collège du Vieux Volcan", "collège", "63", "Besse", "pop-clermont", "Opérateur B",
        45.5158, 2.9390,
    ),
)  # fmt: skip

# Sites that have a line and an agent.
LINES = tuple(DemoLine(site, site.down, site.up) for site in SITES if site.down and site.up)
# Sites that wait for their agent.
WAITING = tuple(site for site in SITES if site.down is None)
