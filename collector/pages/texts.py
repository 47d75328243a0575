"""Every word that the collector's pages say to people, in English and French."""

from collections.abc import Mapping
from enum import StrEnum


class Language(StrEnum):
    """The languages of the pages."""

    ENGLISH = "en"
    FRENCH = "fr"


_WORDS: dict[str, tuple[str, str]] = {
    "title": ("Sites and their floor", "Les sites et leur débit plancher"),
    "lead": (
        "Capacity measured at the IP layer, against what each site was promised.",
        "Capacité mesurée à la couche IP, comparée à ce qui a été promis à chaque site.",
    ),
    "all-sites": ("All sites", "Tous les sites"),
    "state.below-floor": ("Below floor", "Sous le plancher"),
    "state.silent": ("Silent", "Muet"),
    "state.suspect": ("Suspect", "Suspect"),
    "state.waiting": ("Waiting", "En attente"),
    "state.not-in-inventory": ("Not in inventory", "Hors inventaire"),
    "state.ok": ("OK", "Conforme"),
    "explain.below-floor": (
        "several tests that agree show a line below its floor",
        "plusieurs tests concordants montrent une ligne sous son plancher",
    ),
    "explain.suspect": (
        "a floor test has failed and is being repeated",
        "un test du plancher a échoué et va être répété",
    ),
    "explain.silent": (
        "nothing new for three intervals of its densest schedule",
        "rien de nouveau depuis trois intervalles de sa mesure la plus fréquente",
    ),
    "explain.waiting": (
        "no floor verdict that speaks for the present",
        "pas de verdict sur le plancher qui vaille aujourd'hui",
    ),
    "explain.not-in-inventory": (
        "it measures, but the inventory does not list it",
        "il mesure, mais ne figure pas dans l'inventaire",
    ),
    "explain.ok": ("the line gives at least the floor", "la ligne tient au moins le plancher"),
    "waiting.measurement": ("Waiting for the first measurement", "En attente de la première mesure"),
    "waiting.verdict": ("Waiting for a floor verdict", "En attente d'un verdict sur le plancher"),
    "column.state": ("State", "État"),
    "column.site": ("Site", "Site"),
    "column.down": ("Down, of floor", "Descendant / plancher"),
    "column.up": ("Up, of floor", "Montant / plancher"),
    "column.rtt": ("RTT", "Aller-retour"),
    "column.loss": ("Loss", "Pertes"),
    "column.age": ("Newest", "Dernière mesure"),
    "of": ("of", "sur"),
    "at-least": ("at least", "au moins"),
    "stale": ("no longer current", "n'est plus à jour"),
    "verdict.pass": ("pass", "conforme"),
    "verdict.fail": ("fail", "échec"),
    "verdict.grey": ("between", "incertain"),
    "verdict.undetermined": ("undetermined", "indéterminé"),
    "verdict.unconfirmed": ("unconfirmed", "non confirmé"),
    "verdict.invalid": ("invalid", "non valable"),
    "presence.online": ("agent connected", "agent connecté"),
    "presence.stopped": ("agent stopped", "agent arrêté"),
    "presence.connection-lost": ("agent's connection lost", "connexion de l'agent perdue"),
    "trouble.": ("last attempt:", "dernière tentative :"),
    "trouble.floor": ("last floor test:", "dernier test du plancher :"),
    "trouble.stamp": ("last latency train:", "dernière mesure de latence :"),
    "trouble.capacity": ("last search:", "dernière recherche :"),
    "trouble.interface": ("last reading of the interface:", "dernier relevé de l'interface :"),
    "trouble.path": ("last trace:", "dernier relevé du chemin :"),
    "trouble.reachability": ("last outage:", "dernière coupure :"),
    "trouble.clock": ("wall clock:", "horloge :"),
    "failure.internal-error": ("error in the agent", "erreur de l'agent"),
    "failure.deadline-exceeded": ("took too long", "trop long"),
    "failure.cancelled": ("cancelled", "annulée"),
    "failure.sender-slow": ("sender too slow", "émetteur trop lent"),
    "failure.sender-stalled": ("sender stalled", "émetteur bloqué"),
    "failure.receiver-slow": ("receiver too slow", "récepteur trop lent"),
    "failure.send-blocked": ("sending blocked locally", "émission bloquée localement"),
    "failure.counters-unavailable": ("line counters unavailable", "compteurs de ligne indisponibles"),
    "failure.clock-stepped": ("clock was stepped", "horloge recalée"),
    "failure.configuration": ("agent misconfigured", "agent mal configuré"),
    "failure.name-unknown": ("peer's name unknown", "nom du pair inconnu"),
    "failure.peer-refused": ("peer refused", "refusée par le pair"),
    "failure.peer-busy": ("peer busy", "pair occupé"),
    "failure.peer-protocol": ("peer broke the protocol", "le pair enfreint le protocole"),
    "failure.peer-slow": ("peer too slow", "pair trop lent"),
    "failure.no-answer": ("no answer", "pas de réponse"),
    "failure.network-unreachable": ("network unreachable", "réseau inaccessible"),
    "failure.connection-lost": ("connection lost", "connexion perdue"),
    "failure.line-busy": ("line busy", "ligne occupée"),
    "failure.missed-slot": ("slot missed", "créneau manqué"),
    "failure.site-in-use": ("gave way to the site", "cédé au trafic du site"),
    "failure.budget-spent": ("byte budget spent", "quota d'octets épuisé"),
    "cause.site": ("power or local network", "électricité ou réseau local"),
    "cause.access-line": ("access line", "ligne d'accès"),
    "cause.beyond-access": ("beyond the access line", "au-delà de la ligne d'accès"),
    "cause.peer": ("measurement peer", "pair de mesure"),
    "cause.broker": ("our broker, or the way to it", "notre broker, ou le chemin vers lui"),
    "cause.collector": ("our collector", "notre collecteur"),
    "cause.agent-stopped": ("agent stopped", "agent arrêté"),
    "cause.unknown": ("cause unknown", "cause inconnue"),
    "cause.not-told": ("cause not told yet", "cause pas encore signalée"),
    "level.fleet": ("Our side", "De notre côté"),
    "level.peer": ("Peer {}", "Pair {}"),
    "level.pop": ("POP {}", "POP {}"),
    "level.departement": ("Département {}", "Département {}"),
    "event.away": ("{sites} sites away since {begin}", "{sites} sites absents depuis {begin}"),
    "event.some-back": (
        "{away} of {sites} sites still away, since {begin}",
        "{away} sites sur {sites} encore absents, depuis {begin}",
    ),
    "event.unanswered": (
        "answers none of its {sites} sites since {begin}",
        "ne répond plus à aucun de ses {sites} sites depuis {begin}",
    ),
    "event.over": ("{sites} sites away from {begin} to {end}", "{sites} sites absents de {begin} à {end}"),
    "event.where": ("{}:", "{} :"),
    "event.show": ("these sites", "ces sites"),
    "event.no-line": ("no site's line is blamed", "aucune ligne de site n'est en cause"),
    "event.part-of": ("part of:", "fait partie de :"),
    "events": ("Events upstream of several sites", "Événements en amont de plusieurs sites"),
    "events.more": ("{} more", "{} de plus"),
    "outage.open": ("outage since {begin}: {cause}", "coupure depuis {begin} : {cause}"),
    "outage.over": ("outage from {begin} to {end}: {cause}", "coupure de {begin} à {end} : {cause}"),
    "outage.undated": ("outage until {end}: {cause}", "coupure jusqu'à {end} : {cause}"),
    "begin.undated": ("its clock was not set", "son horloge n'était pas à l'heure"),
    "silent-since": (
        "silent since {}: whether site, line or agent cannot be told from here",
        "muet depuis {} : site, ligne ou agent, d'ici on ne peut le dire",
    ),
    "outages": ("Outages", "Coupures"),
    "outages.lead": (
        "What agents told of outages within the last 31 days, from the ledger.",
        "Ce que les agents ont dit des coupures des 31 derniers jours, d'après le registre.",
    ),
    "outages.site": ("Outages of {}", "Coupures de {}"),
    "outages.total": (
        "Outages: {count} · in all: {lasted} · neither the site's nor its line's: {ours}.",
        "Coupures : {count} · durée totale : {lasted} · ni du site ni de sa ligne : {ours}.",
    ),
    "outages.unknown": (
        "No site of this id is in the inventory, and none has been heard of.",
        "Aucun site de ce nom n'est à l'inventaire, et aucun ne s'est signalé.",
    ),
    "outages.none": (
        "No outage was told within the last 31 days.",
        "Aucune coupure n'a été signalée ces 31 derniers jours.",
    ),
    "outages.no-events": (
        "No event upstream of several sites within the last 31 days.",
        "Aucun événement en amont de plusieurs sites ces 31 derniers jours.",
    ),
    "outages.silent": (
        "A site that is still away tells of it when it is back.",
        "Un site encore absent en rendra compte à son retour.",
    ),
    "outages.unreadable": ("The ledger cannot be read:", "Le registre est illisible :"),
    "outages.left-out": ("Not all is here:", "Tout n'est pas ici :"),
    "outages.since": (
        "More was told than is read. All that was told since {} is here.",
        "Il en a été dit plus qu'il n'en est lu. Tout ce qui a été dit depuis {} est ici.",
    ),
    "outages.partly": (
        "Sites that told more than is read: {}. Their older outages are part of no event.",
        "Sites qui en ont dit plus qu'il n'en est lu : {}. Leurs plus anciennes sont hors événement.",
    ),
    "outages.unlisted": (
        "The newest {shown} are listed, {more} more are not.",
        "Les {shown} entrées les plus récentes sont affichées, {more} autres ne le sont pas.",
    ),
    "outages.find": ("Site id", "Identifiant du site"),
    "outages.back": ("Sites and their floor", "Les sites et leur débit plancher"),
    "column.begin": ("Begin", "Début"),
    "column.end": ("End", "Fin"),
    "column.lasted": ("Lasted", "Durée"),
    "column.cause": ("Cause", "Cause"),
    "column.event": ("Part of", "Fait partie de"),
    "column.where": ("Where", "Où"),
    "column.sites": ("Sites", "Sites"),
    "end.open": ("still open", "en cours"),
    "end.not-told": ("not told; over by {}", "non signalée ; finie avant {}"),
    "unit.day": ("d", "j"),
    "remark.suspect": (
        "suspect {direction}: a floor test failed and is being repeated",
        "suspect {direction} : un test du plancher a échoué et va être répété",
    ),
    "remark.sides-disagree": (
        "agent and peer tell differently {direction}: {number} % apart",
        "agent et pair se contredisent {direction} : {number} % d'écart",
    ),
    "remark.class-changed": (
        "DSCP {number} arrives as {other} {direction}",
        "DSCP {number} arrive en {other} {direction}",
    ),
    "remark.path-class-changed": (
        "path: DSCP {number} is changed before hop {other} {place}",
        "chemin : DSCP {number} modifié avant le saut {other} {place}",
    ),
    "remark.path-mtu": (
        "path: packets of at most {number} bytes, from hop {other} {place}",
        "chemin : paquets d'au plus {number} octets, à partir du saut {other} {place}",
    ),
    "remark.black-hole": (
        "path: packets above {number} bytes vanish and nobody says so",
        "chemin : les paquets de plus de {number} octets disparaissent sans avertissement",
    ),
    "remark.not-reached": (
        "path: ends at hop {number}, before the peer",
        "chemin : s'arrête au saut {number}, avant le pair",
    ),
    "remark.budget-spent": (
        "search skipped: byte budget spent",
        "recherche omise : quota d'octets épuisé",
    ),
    "direction.down": ("downstream", "dans le sens descendant"),
    "direction.up": ("upstream", "dans le sens montant"),
    "column.search": ("Max. down / up", "Max. desc. / mont."),
    "explain.search": (
        "the most that the last search found the line to carry",
        "le plus que la dernière recherche ait trouvé que la ligne porte",
    ),
    "under-load": ("under load", "sous charge"),
    "search": ("Site, town, POP, supplier", "Site, commune, POP, fournisseur"),
    "departement": ("Département", "Département"),
    "everywhere": ("All départements", "Tous les départements"),
    "show": ("Show", "Afficher"),
    "clear": ("Clear", "Effacer"),
    "none-matching": ("No site matches this search.", "Aucun site ne correspond à cette recherche."),
    "no-sites": (
        "The inventory is empty and no site has reported yet.",
        "L'inventaire est vide et aucun site ne s'est encore manifesté.",
    ),
    "page": ("Page", "Page"),
    "previous": ("Previous", "Précédente"),
    "next": ("Next", "Suivante"),
    "pages": ("Pages", "Pages"),
    "sites": ("sites", "sites"),
    "updated": ("As of", "État au"),
    "refreshes": ("renewed every 30 seconds", "renouvelé toutes les 30 secondes"),
    "problems": ("The collector itself has trouble:", "Le collecteur lui-même est en difficulté :"),
    "skip": ("Skip to the sites", "Aller aux sites"),
    "age.second": ("{} s ago", "il y a {} s"),
    "age.minute": ("{} min ago", "il y a {} min"),
    "age.hour": ("{} h ago", "il y a {} h"),
    "age.day": ("{} d ago", "il y a {} j"),
    "age.future": ("clock ahead", "horloge en avance"),
    "unit.rate": ("Mbit/s", "Mbit/s"),
    "unit.ms": ("ms", "ms"),
    "decimal": (".", ","),
    "thousands": (",", "\N{NARROW NO-BREAK SPACE}"),
    "completeness": ("Completeness", "Complétude"),
    "completeness.lead": (
        "What the ledger holds of each site's measurements, what it lacks, and what is in doubt.",
        "Ce que le registre détient des mesures de chaque site, ce qui lui manque et ce qui est douteux.",
    ),
    "completeness.back": ("Sites and their floor", "Les sites et leur débit plancher"),
    "completeness.all-sites": ("Completeness of all sites", "Complétude de tous les sites"),
    "completeness.all": ("All sites heard of", "Tous les sites connus"),
    "completeness.counted": ("Counted", "Compté"),
    "finding.in-doubt": ("In doubt", "Douteux"),
    "finding.missing": ("Missing", "Manquant"),
    "finding.declared-lost": ("Declared lost", "Déclaré perdu"),
    "finding.complete": ("Complete", "Complet"),
    "explain.in-doubt": (
        "measurements came again with another content, or two journals continue the same one",
        "des mesures sont revenues avec un autre contenu, ou deux journaux prolongent le même",
    ),
    "explain.missing": (
        "not in the ledger, although what was measured later has been there for an hour",
        "absent du registre alors que des mesures ultérieures y figurent depuis une heure",
    ),
    "explain.declared-lost": (
        "the site itself said that it lost measurements for good, and why",
        "le site lui-même a déclaré des mesures définitivement perdues, et pourquoi",
    ),
    "explain.complete": ("nothing is missing, lost or in doubt", "rien ne manque, n'est perdu ni douteux"),
    "explain.under-way": (
        "not in the ledger yet; what was measured later has not been there for an hour",
        "pas encore dans le registre ; les mesures ultérieures n'y figurent pas depuis une heure",
    ),
    "column.committed": ("In the ledger", "Au registre"),
    "column.missing": ("Missing", "Manquant"),
    "column.under-way": ("Under way", "En route"),
    "column.declared": ("Declared lost", "Déclaré perdu"),
    "column.conflicts": ("Conflicts", "Conflits"),
    "column.forks": ("Forks", "Bifurcations"),
    "column.epoch": ("Journal epoch", "Époque du journal"),
    "column.period": ("Measured", "Mesuré"),
    "explain.conflicts": (
        "measurements that came again with another content; both are kept",
        "mesures revenues avec un autre contenu ; les deux sont conservées",
    ),
    "explain.forks": (
        "journals that continue where another one does, or had come further: image restored, or card cloned",
        "journaux qui en prolongent un déjà prolongé ou plus avancé : image restaurée ou carte clonée",
    ),
    "reason.dropped": ("the journal was full", "journal plein"),
    "reason.not-stored": ("the disk took nothing", "disque sans réponse"),
    "reason.damaged": ("the journal was damaged", "journal endommagé"),
    "epoch.follows": ("continues", "prolonge"),
    "epoch.fork": (
        "continued more than once: image restored, or card cloned",
        "prolongé plus d'une fois : image restaurée ou carte clonée",
    ),
    "epoch.behind": (
        "from before where that one had come: image restored, card cloned, or a disk that lost what it took",
        "depuis un point antérieur : image restaurée, carte clonée ou disque ayant perdu ce qu'il avait pris",
    ),
    "epoch.nothing": ("nothing of it came", "rien n'en est parvenu"),
    "epoch.lacking": ("Not in the ledger:", "Absent du registre :"),
    "epoch.more": ("and others", "et d'autres"),
    "epoch.left-out": ("{} more epochs are not shown.", "{} autres époques ne sont pas affichées."),
    "run.between": ("between {} and {}", "entre {} et {}"),
    "run.after": ("after {}", "après {}"),
    "run.before": ("before {}", "avant {}"),
    "completeness.unknown": (
        "Nothing of this site has come to the ledger.",
        "Rien de ce site n'est parvenu au registre.",
    ),
    "completeness.none": ("Nothing has come to the ledger yet.", "Rien n'est encore parvenu au registre."),
    "language.other": ("Français", "English"),
}


def _typeset(words: str) -> str:
    """No line begins with a colon or a percent sign: French sets them off by a space."""
    return words.replace(" :", "\N{NO-BREAK SPACE}:").replace(" %", "\N{NO-BREAK SPACE}%")


KEYS = frozenset(_WORDS)
CATALOGUE: Mapping[Language, Mapping[str, str]] = {
    language: {key: _typeset(words[place]) for key, words in _WORDS.items()}
    for place, language in enumerate(Language)
}


def choose(asked: str, accepted: str, otherwise: Language) -> Language:
    """The language to speak: the one asked for, else the first of an Accept-Language header, else ours."""
    tags = [asked, *(part.partition(";")[0] for part in accepted[:200].split(","))]
    spoken = (tag.strip().lower().partition("-")[0] for tag in tags)
    return next((Language(tag) for tag in spoken if tag in set(Language)), otherwise)
