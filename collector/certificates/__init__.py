"""Certificates for trials: an authority and the certificates it issues, made by openssl(1).

Lives here: the authority and the command ``plancher-collector pki``.
May not live here: enrolment of sites in service.
Imported by: ``collector.__main__``; ``lab`` for its testbeds.
"""
